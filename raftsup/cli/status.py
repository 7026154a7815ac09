"""``raftsup status``: how every account is, once or again and again."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from raftsup import exit_codes
from raftsup.cli.arguments import a_while, add_config, add_json, add_state_dir
from raftsup.cli.context import loader_of, loader_within, state_of
from raftsup.cli.output import colour_wanted, print_json
from raftsup.config.errors import ConfigError
from raftsup.ops import raft_place
from raftsup.ops import status as ops
from raftsup.ops.status import render
from raftsup.ops.status.document import Status
from raftsup.paths import StateDirError
from raftsup.terminal import moment

EXAMPLES = """\
raftsup status --probe
raftsup status --watch 5
raftsup status --json | jq '.accounts[].state'"""


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_config(command)
    add_json(command)
    command.add_argument("--probe", action="store_true",
                         help="try it all now: CLI, profile, bridge, a wake that owes no turn,"
                         " dispatcher, agent; exit code 0 only if all is well")  # fmt: skip
    command.add_argument("--timeout", type=a_while, default=10.0, metavar="SECONDS",
                         help="how long a step of --probe may take (default 10)")  # fmt: skip
    command.add_argument("--watch", type=a_while, nargs="?", const=2.0, metavar="SECONDS",
                         help="look again each SECONDS (default 2) until Ctrl-C; where output is no"
                         " terminal, print what changes, with --json a line each")  # fmt: skip
    command.add_argument("--deep", action="store_true",
                         help="also find other instances, services and orphans here")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    look = _look(arguments)
    if arguments.watch is not None:
        return _watch(look, arguments)
    status = look()
    if arguments.json:
        print_json(status)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(render.screen(status, colour=colour_wanted(), width=width), end="")
    return exit_codes.OK if ops.all_ready(status) else exit_codes.NOT_READY


def _look(arguments: argparse.Namespace) -> Callable[[], Status]:
    state, load = state_of(arguments), loader_of(arguments)
    within = loader_within(arguments)

    def look() -> Status:
        status = ops.collect(ops.accounts_of(state, load), state)
        status["raft"] = {"reason": raft_place.difference(state, os.environ)}
        if arguments.probe or arguments.deep:
            from raftsup.ops.checks import context, probe, registry

            scene = context.look_around(state, os.environ, within)
            scene = replace(scene, status=status, limit=arguments.timeout)
            if arguments.probe:
                status = probe.probe(status, scene)
            if arguments.deep:
                found = registry.examine(scene, registry.due(scene, registry.Use.DEEP))
                status["others"] = [dict(f.facts) for one in found for f in one.findings]
        return status

    return look


def _watch(look: Callable[[], Status], arguments: argparse.Namespace) -> int:
    from raftsup.ops.status import watch

    if not arguments.json and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        look()  # what cannot be shown at all is said before the screen is taken

        def show(width: int) -> str:
            try:
                return render.screen(look(), colour=colour_wanted(), width=width)
            except (ConfigError, StateDirError) as error:
                return f"{error}\n"  # half edited: it may be fixed at the next look

        watch.redraw(show, arguments.watch, sys.stdout)
    for status in watch.news(look, arguments.watch):
        if arguments.json:
            print(orjson.dumps(status).decode(), flush=True)
        else:
            print(f"-- {moment(time.time(), date=True)}")
            print(render.screen(status, colour=False), flush=True)
    return exit_codes.OK
