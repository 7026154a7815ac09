"""``raftsup stop``: drain and end the host."""

from __future__ import annotations

import argparse

from raftsup import exit_codes
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.cli.output import tell
from raftsup.ops import lifecycle


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    try:
        pid = lifecycle.stop(state, arguments.timeout, tell)
    except lifecycle.StillRuns as error:
        return complain(str(error), exit_codes.FAILED)
    if pid is None:
        return complain(f"no host runs on {state.root}", exit_codes.NOT_RUNNING)
    print(f"raftsup stopped (pid {pid})")
    return exit_codes.OK
