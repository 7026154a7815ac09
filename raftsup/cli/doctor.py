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
from raftsup.ops.doctor.finding import Severity
from raftsup.ops.doctor.scene import look_around


def run(arguments: argparse.Namespace) -> int:
    state, load = state_of(arguments), loader_within(arguments)
    examined = table.examine(look_around(state, os.environ, load))
    mended = None
    if arguments.fix:
        mended, again = table.mend(examined)
        if again:
            # Anew: what was mended may be what kept the others from looking.
            examined = table.examine(look_around(state, os.environ, load))
    if arguments.json:
        whole = shown.whole(state, examined, mended)
        print(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
        print(shown.page(state, examined, mended, colour=colour_wanted(), width=width), end="")
    return exits.UNWELL if shown.count(examined, Severity.BAD) else exits.OK
