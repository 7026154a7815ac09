"""``raftsup restart``: stop and start the host, by its service manager if it has one."""

from __future__ import annotations

import argparse
import os
from typing import Any

from raftsup import exit_codes
from raftsup.cli import start
from raftsup.cli.arguments import add_state_dir, seconds
from raftsup.cli.context import loader_of, state_of
from raftsup.cli.output import complain, tell
from raftsup.config.errors import ConfigError
from raftsup.config.load import load
from raftsup.ops import lifecycle, raft_place, reload, rpc
from raftsup.ops.service import control, detect
from raftsup.paths import StateDir
from raftsup.proc import lockfile

EXAMPLES = "raftsup restart"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument("--timeout", type=seconds, default=90.0, metavar="SECONDS",
                         help="how long to wait for its end (default 90)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    if arguments.dev:
        return complain(start.THROWAWAY, exit_codes.USAGE)
    state = state_of(arguments)
    service = detect.of(state.root)
    try:
        if service is None:
            return _by_hand(arguments, state)
        _check(state)
        lifecycle.restart(state, service, arguments.timeout, tell)
    except ConfigError as error:
        return complain(
            f"nothing was stopped, as it would not start again: {error}", exit_codes.CONFIG
        )
    except reload.FileRefused as error:
        return complain(
            f"nothing was stopped: the host refuses its file: {error}", exit_codes.CONFIG
        )
    except control.Refused as error:
        assert service is not None
        return start.not_done(state, service, error)
    return start.started(state)


def _by_hand(arguments: argparse.Namespace, state: StateDir) -> int:
    """As it was started: with its flags, in its folder; with this shell's environment."""
    pid = lockfile.holder(state.lock)
    words, folder = (lifecycle.started_as(pid) if pid else None) or ([], None)
    if folder is not None:
        os.chdir(folder)  # its flags may name files relative to it
    os.environ["RAFTSUP_STATE_DIR"] = str(state.root)  # if its own shell's said so, and no flag
    if words:
        loader_of(arguments.parse(words))()
    else:
        load(None, os.environ)
    if told := raft_place.difference(state, os.environ):
        print(f"Note: {told}; it is started again with yours.")
    if pid := lifecycle.stop(state, arguments.timeout, tell):
        print(f"raftsup stopped (pid {pid})")
    return start.by_hand(state, words)


def _check(state: StateDir) -> None:
    """A config that is broken must not end a host that is well."""
    if not lockfile.holder(state.lock):
        return
    try:
        reload.plan(state, lambda: load(None, os.environ))
    except reload.FileRefused:
        raise
    except (rpc.ParentDown, rpc.ParentRefused):
        return  # it stops already, or is to be restarted because it hangs
