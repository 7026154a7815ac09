"""``raftsup status``: how every account is."""

from __future__ import annotations

import argparse
import shutil
import sys

import orjson

from raftsup import exits
from raftsup.cli.context import colour_wanted, loader_of, state_of
from raftsup.ops import render
from raftsup.ops import status as ops


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    status = ops.collect(ops.accounts_of(state, loader_of(arguments)), state)
    if arguments.json:
        print(orjson.dumps(status, option=orjson.OPT_INDENT_2).decode())
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
        print(render.screen(status, colour=colour_wanted(), width=width), end="")
    return exits.OK if ops.all_ready(status) else exits.NOT_READY
