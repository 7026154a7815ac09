"""``raftsup pause``: accept wakes and start no turn."""

from __future__ import annotations

import argparse
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_state_dir
from raftsup.cli.context import account_id, state_of
from raftsup.cli.output import no_dispatcher
from raftsup.dispatcher.control_client import DispatcherDown
from raftsup.ops import lanes

EXAMPLES = "raftsup pause support"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument("account", nargs="?", help="its lane alone (default: every lane)")


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    account = arguments.account and account_id(arguments.account)
    try:
        held = lanes.hold(state, account, paused=True)
    except DispatcherDown as error:
        return no_dispatcher(state, error)
    print(f"{', '.join(held)}: wakes are accepted, no turn is started, also after a restart; what"
          f" runs goes on; `raftsup resume{f' {account}' if account else ''}` ends it")  # fmt: skip
    return exit_codes.OK
