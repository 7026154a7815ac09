"""``raftsup restart``: stop and start the host, by its service manager if it has one."""

from __future__ import annotations

import argparse

from raftsup import exits
from raftsup.cli import start
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.cli.stop import tell
from raftsup.ops import lifecycle
from raftsup.ops.service import control, found


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    service = found.of(state.root)
    try:
        if service is None:
            if pid := lifecycle.stop(state, arguments.timeout, tell):
                print(f"raftsup stopped (pid {pid})")
            return start.by_hand(state)
        lifecycle.restart(state, service, arguments.timeout, tell)
    except lifecycle.StillRuns as error:
        return complain(str(error), exits.FAILED)
    except control.Refused as error:
        assert service is not None
        return start.not_done(state, service, error)
    return start.started(state)
