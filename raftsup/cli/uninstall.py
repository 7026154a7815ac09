"""``raftsup uninstall``: stop this instance's service and remove it."""

from __future__ import annotations

import argparse
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_scope, add_state_dir
from raftsup.cli.context import state_of
from raftsup.cli.output import complain, tell
from raftsup.ops import lifecycle
from raftsup.ops.service import control, detect, install

#: Seconds that running turns get, at the most.
_TIMEOUT_S = 300.0

EXAMPLES = "raftsup uninstall"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_scope(command, "only if it is this user's", "only if it is the machine's")
    command.add_argument("--dry-run", action="store_true", help="say what would be done")
    command.add_argument("--force", action="store_true", help="also one that we did not write")


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    service = detect.of(state.root)
    if service is None or arguments.scope not in (None, service.scope):
        print(f"no service of {state.root} is installed")
        return exit_codes.OK
    if arguments.dry_run:
        print(f"would stop {service.unit} and remove {service.path}")
        return exit_codes.OK
    try:
        removal = install.remove(
            service, lambda: lifecycle.stop(state, _TIMEOUT_S, tell), force=arguments.force
        )
        for line in removal:
            print(line)
    except control.Refused as error:
        typed = install.typed(service, control.Verb.FORGET)
        return complain(f"{error}\nThe file is gone; then say:\n{typed}", exit_codes.FAILED)
    print(f"config and state stay; they are in {state.root} and beside your config file")
    return exit_codes.OK
