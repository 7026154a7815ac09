"""``raftsup doctor``: what is wrong, why it matters, what fixes it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_config, add_json, add_state_dir
from raftsup.cli.context import chosen_by, loader_within, state_of
from raftsup.cli.output import colour_wanted, print_json
from raftsup.ops.checks import registry, render
from raftsup.ops.checks.addressed import addressed
from raftsup.ops.checks.context import Load, look_around
from raftsup.ops.checks.finding import Severity
from raftsup.ops.checks.registry import Examined, Use
from raftsup.paths import StateDir

EXAMPLES = """\
raftsup doctor
raftsup doctor --fix
raftsup doctor --json | jq -r '.findings[] | select(.fix != "") | .fix'"""


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_config(command)
    command.add_argument("--fix", action="store_true",
                         help="fix what is safe: our files' modes, leftovers")  # fmt: skip
    add_json(command)


def run(arguments: argparse.Namespace) -> int:
    state, load = state_of(arguments), loader_within(arguments)
    examined = _examine(state, load)
    fixed = None
    if arguments.fix:
        fixed, again = registry.repair(examined)
        if again:
            # Anew: what was fixed may be what kept the others from looking.
            examined = _examine(state, load)
    examined = addressed(examined, *chosen_by(arguments))
    if arguments.json:
        print_json(render.whole(state, examined, fixed))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
        print(render.page(state, examined, fixed, colour=colour_wanted(), width=width), end="")
    return exit_codes.UNWELL if render.count(examined, Severity.FAIL) else exit_codes.OK


def _examine(state: StateDir, load: Load) -> list[Examined]:
    scene = look_around(state, os.environ, load)
    return registry.examine(scene, registry.due(scene, Use.DOCTOR))
