"""``raftsup inspect``: all that is known of one account."""

from __future__ import annotations

import argparse
import time

import orjson

from raftsup import exits
from raftsup.cli.context import loader_of, state_of
from raftsup.cli.main import complain
from raftsup.config.accounts import normalise_id
from raftsup.ops import inspection


def run(arguments: argparse.Namespace) -> int:
    id_ = normalise_id(arguments.account)
    try:
        found = inspection.collect(id_, state_of(arguments), loader_of(arguments))
    except inspection.Unknown as error:
        return complain(str(error), exits.FAILED)
    if arguments.json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    else:
        print(inspection.page(found, time.time()), end="")
    return exits.OK
