"""``raftsup doctor``: what is wrong, why it matters, what mends it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from raftsup import exits
from raftsup.cli.context import chosen_by, loader_within, state_of
from raftsup.cli.output import colour_wanted, print_json
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
    examined = addressed(examined, *chosen_by(arguments))
    if arguments.json:
        print_json(shown.whole(state, examined, mended))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
        print(shown.page(state, examined, mended, colour=colour_wanted(), width=width), end="")
    return exits.UNWELL if shown.count(examined, Severity.BAD) else exits.OK


def _examine(state: StateDir, load: Load) -> list[Examined]:
    scene = look_around(state, os.environ, load)
    return table.examine(scene, table.due(scene))
