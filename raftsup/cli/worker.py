"""``raftsup worker``: one account's worker by itself, for a stock supervisord."""

from __future__ import annotations

import argparse
import os
from typing import Any

from setproctitle import setproctitle

from raftsup import exit_codes, log
from raftsup.cli.arguments import add_config, add_state_dir
from raftsup.cli.context import loader_of, state_of
from raftsup.cli.output import complain
from raftsup.proc.linux import die_with_parent
from raftsup.worker import worker

EXAMPLES = "raftsup worker support"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_config(command)
    command.add_argument("account")


def run(arguments: argparse.Namespace) -> int:
    config, state = loader_of(arguments)(), state_of(arguments)
    account = config.account(arguments.account)
    if account is None:
        known = ", ".join(a.id for a in config.accounts)
        return complain(f"no account {arguments.account} in the config; there are {known}",
                        exit_codes.CONFIG)  # fmt: skip
    if not account.runs:
        why = account.problem or "enabled: false"
        return complain(f"account {account.id} does not run: {why}", exit_codes.CONFIG)
    state.prepare()
    setproctitle(f"raftsup: accounts:{account.id}")
    die_with_parent(os.getppid())
    log.start(account.id)
    # Threads may still be in a request when the worker has stopped: they end here.
    os._exit(worker.run(worker.settings_of(config, account, state), dict(os.environ)))
