"""``raftsup restart``: stop and start the host, by its service manager if it has one."""

from __future__ import annotations

import argparse
import os

from raftsup import exits, flock
from raftsup.cli import start
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.cli.stop import tell
from raftsup.config.load import ConfigError, load
from raftsup.ops import lifecycle, reload, rpc
from raftsup.ops.service import control, found
from raftsup.paths import StateDir


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    service = found.of(state.root)
    try:
        _check(state, service)
        if service is None:
            if pid := lifecycle.stop(state, arguments.timeout, tell):
                print(f"raftsup stopped (pid {pid})")
            return start.by_hand(state)
        lifecycle.restart(state, service, arguments.timeout, tell)
    except ConfigError as error:
        return complain(f"nothing was stopped, as it would not start again: {error}", exits.CONFIG)
    except reload.FileRefused as error:
        return complain(f"nothing was stopped: the host refuses its file: {error}", exits.CONFIG)
    except lifecycle.StillRuns as error:
        return complain(str(error), exits.FAILED)
    except control.Refused as error:
        assert service is not None
        return start.not_done(state, service, error)
    return start.started(state)


def _check(state: StateDir, service: found.Installed | None) -> None:
    """A config that is broken must not end a host that is well."""
    if service is None:
        load(None, os.environ)  # as ``by_hand`` does, with this shell's environment
        return
    if not flock.holder(state.lock):
        return
    try:
        reload.plan(state, lambda: load(None, os.environ))
    except reload.FileRefused:
        raise
    except (rpc.ParentDown, rpc.ParentRefused):
        return  # it stops already, or is to be restarted because it hangs
