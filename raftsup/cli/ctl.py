"""``raftsup ctl``: supervisorctl on this host."""

from __future__ import annotations

import argparse
from typing import Any

from supervisor import supervisorctl

from raftsup import exit_codes
from raftsup.cli.arguments import add_state_dir
from raftsup.cli.context import state_of
from raftsup.cli.output import complain
from raftsup.proc import liveness, lockfile
from raftsup.supervisor import active_accounts
from raftsup.supervisor.programs import ACCOUNTS

EXAMPLES = "raftsup ctl restart accounts:support"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="…", help="as for supervisorctl"
    )


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    if not state.supervisord_conf.exists():
        return complain(f"raftsup has never run on {state.root}", exit_codes.NOT_RUNNING)
    parent = lockfile.holder(state.lock)
    if parent is not None and liveness.stopped(parent):
        return complain(f"the host can do nothing: {liveness.by_signal(parent)}", exit_codes.FAILED)
    accounts = {account.id for account in active_accounts.read(state) or ()}
    # `status` lists accounts by their ids: take those here as well.
    words = [f"{ACCOUNTS}:{word}" if word in accounts else word for word in arguments.words]
    supervisorctl.main(["-c", str(state.supervisord_conf), *words])
    return exit_codes.OK  # not reached: supervisorctl exits with a code of its own
