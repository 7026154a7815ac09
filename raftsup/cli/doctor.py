"""``raftsup doctor``: what is wrong, why it matters, what mends it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

import orjson

from raftsup import exits
from raftsup.cli.context import colour_wanted, loader_within, state_of
from raftsup.ops.doctor import shown, table
from raftsup.ops.doctor.addressed import addressed
from raftsup.ops.doctor.finding import Severity
from raftsup.ops.doctor.scene import Load, look_around
from raftsup.ops.doctor.table import Examined
from raftsup.paths import StateDir


def run(arguments: argparse.Namespace) -> int:
    state, load = state_of(arguments), loader_within(arguments)
    examined = _examine(state, load)
    mended = None
    if arguments.fix:
        mended, again = table.mend(examined)
        if again:
            # Anew: what was mended may be what kept the others from looking.
            examined = _examine(state, load)
    examined = addressed(examined, *_chosen(arguments))
    if arguments.json:
        whole = shown.whole(state, examined, mended)
        print(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
        print(shown.page(state, examined, mended, colour=colour_wanted(), width=width), end="")
    return exits.UNWELL if shown.count(examined, Severity.BAD) else exits.OK


def _examine(state: StateDir, load: Load) -> list[Examined]:
    scene = look_around(state, os.environ, load)
    return table.examine(scene, table.due(scene))


def _chosen(arguments: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """The instance that this command line is about, in words and in variables."""
    words = ["--name", arguments.instance] if arguments.instance else []
    flags = {"RAFTSUP_STATE_DIR": arguments.state_dir, "RAFTSUP_CONFIG_PATH": arguments.config}
    chosen = {name: str(path.expanduser().absolute()) for name, path in flags.items() if path}
    return ["--dev"] if arguments.dev else words, chosen
