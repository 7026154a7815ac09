"""``raftsup uninstall``: stop this instance's service and remove it."""

from __future__ import annotations

import argparse

from raftsup import exit_codes
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.cli.output import tell
from raftsup.ops import lifecycle
from raftsup.ops.service import control, detect, install

#: Seconds that running turns get, at the most.
_PATIENCE = 300.0


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
            service, lambda: lifecycle.stop(state, _PATIENCE, tell), force=arguments.force
        )
        for line in removal:
            print(line)
    except (install.NotInstalled, lifecycle.StillRuns) as error:
        return complain(str(error), exit_codes.FAILED)
    except control.Refused as error:
        typed = install.typed(service, control.Verb.FORGET)
        return complain(f"{error}\nThe file is gone; then say:\n{typed}", exit_codes.FAILED)
    print(f"config and state stay; they are in {state.root} and beside your config file")
    return exit_codes.OK
