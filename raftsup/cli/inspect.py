"""``raftsup inspect``: all that is known of one account."""

from __future__ import annotations

import argparse
import os
import time

from raftsup import exit_codes
from raftsup.cli.context import account_id, loader_of, state_of
from raftsup.cli.main import complain
from raftsup.cli.output import print_json
from raftsup.ops import inspect


def run(arguments: argparse.Namespace) -> int:
    id_ = account_id(arguments.account)
    try:
        found = inspect.collect(id_, state_of(arguments), loader_of(arguments), os.environ)
    except inspect.Unknown as error:
        return complain(str(error), exit_codes.FAILED)
    if arguments.json:
        print_json(found)
    else:
        print(inspect.page(found, time.time()), end="")
    return exit_codes.OK
