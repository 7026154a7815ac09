"""``raftsup inspect``: all that is known of one account."""

from __future__ import annotations

import argparse
import os
import time

from raftsup import exits
from raftsup.cli.context import account_id, loader_of, state_of
from raftsup.cli.main import complain
from raftsup.cli.output import print_json
from raftsup.ops import inspection


def run(arguments: argparse.Namespace) -> int:
    id_ = account_id(arguments.account)
    try:
        found = inspection.collect(id_, state_of(arguments), loader_of(arguments), os.environ)
    except inspection.Unknown as error:
        return complain(str(error), exits.FAILED)
    if arguments.json:
        print_json(found)
    else:
        print(inspection.page(found, time.time()), end="")
    return exits.OK
