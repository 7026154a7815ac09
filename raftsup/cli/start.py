"""``raftsup start``: start the host in the background, by its service manager if it has one."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_state_dir
from raftsup.cli.context import state_of
from raftsup.cli.output import complain, here, tell
from raftsup.cli.up import detached
from raftsup.ops import lifecycle
from raftsup.ops.service import control, detect
from raftsup.ops.service.control import Verb
from raftsup.ops.service.detect import Manager
from raftsup.ops.service.spec import Scope
from raftsup.paths import StateDir
from raftsup.proc import lockfile

#: What is said where ``--dev`` chose an instance that has no service and no second start.
THROWAWAY = "the throwaway instance is started by `raftsup --dev up`, and ends with that"

EXAMPLES = "raftsup start && raftsup status"


def add_arguments(command: Any) -> None:
    add_state_dir(command)


def run(arguments: argparse.Namespace) -> int:
    if arguments.dev:
        return complain(THROWAWAY, exit_codes.USAGE)
    state = state_of(arguments)
    if pid := lockfile.holder(state.lock):
        print(f"a host already runs on {state.root}: pid {pid}")
        return exit_codes.OK
    service = detect.of(state.root)
    if service is None:
        return by_hand(state)
    try:
        control.ask(service, Verb.START)
    except control.Refused as error:
        return not_done(state, service, error)
    return started(state)


def by_hand(state: StateDir, words: Sequence[str] = ()) -> int:
    """Start it where no service manager is to. ``words``: a command line of ``up``, if not the
    plain one.
    """
    state.prepare()
    code = detached(state, [*words] or ["up", "--state-dir", str(state.root)])
    # Where somebody was faster, what was asked for is so.
    return started(state) if not code or lockfile.holder(state.lock) is not None else code


def started(state: StateDir) -> int:
    """Say how the accounts are, once they are up or it takes too long."""
    settled = lifecycle.settled(state, tell)
    if settled is None:
        return complain(
            "the host has ended again: `raftsup up` in this terminal shows why", exit_codes.FAILED
        )
    print("\n".join(here(line) for line in settled.lines))
    return exit_codes.OK if settled.ready else exit_codes.NOT_READY


def not_done(state: StateDir, service: detect.Installed, error: control.Refused) -> int:
    """The manager would not: its own words, and where more is to be found."""
    typed = "; ".join(
        shlex.join(words) for words in control.commands(service, Verb.START, os.getuid())
    )
    user = "--user " if service.scope is Scope.USER else ""
    more = {
        Manager.SYSTEMD: f"`journalctl {user}-u {service.unit}`",
        Manager.LAUNCHD: str(state.logs / "launchd.log"),
    }[service.manager]
    return complain(
        f"{error}\nIt is {service.manager} that runs this instance ({service.path}). See {more},"
        f" or say `{typed}` "
        + ("from a login of this user's own" if user else "with sudo")
        + "; `raftsup up -d` starts it without",
        exit_codes.FAILED,
    )
