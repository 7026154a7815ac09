"""``raftsup status``: how every account is."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import Any

import orjson

from raftsup import exits
from raftsup.cli.context import colour_wanted, loader_of, state_of
from raftsup.config.load import ConfigError
from raftsup.ops import render
from raftsup.ops import status as ops


def run(arguments: argparse.Namespace) -> int:
    state, load = state_of(arguments), loader_of(arguments)

    def look() -> dict[str, Any]:
        status = ops.collect(ops.accounts_of(state, load), state)
        if arguments.probe:
            from raftsup.ops.probe import probe

            status = probe(status, load, state, os.environ, arguments.timeout)
        if arguments.deep:
            from raftsup.ops import deep

            status["others"] = deep.find(state, os.environ)
        return status

    if arguments.watch is not None:
        _watch(look, arguments)
    status = look()
    if arguments.json:
        print(orjson.dumps(status, option=orjson.OPT_INDENT_2).decode())
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(render.screen(status, colour=colour_wanted(), width=width), end="")
    good = ops.all_ready(status) and _no_probe_failed(status, arguments)
    return exits.OK if good else exits.NOT_READY


def _no_probe_failed(status: dict[str, Any], arguments: argparse.Namespace) -> bool:
    if not arguments.probe:
        return True
    from raftsup.ops.probe import all_good

    return all_good(status)
