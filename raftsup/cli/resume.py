"""``raftsup resume``: start turns again, after a pause or a rest that failures earned."""

from __future__ import annotations

import argparse
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_state_dir
from raftsup.cli.context import account_id, state_of
from raftsup.cli.output import no_dispatcher
from raftsup.dispatcher.control_client import DispatcherDown
from raftsup.ops import lanes

EXAMPLES = "raftsup resume support"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument("account", nargs="?", help="its lane alone (default: what held them all)")


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    account = arguments.account and account_id(arguments.account)
    try:
        freed = lanes.hold(state, account, paused=False)
    except DispatcherDown as error:
        return no_dispatcher(state, error)
    print(f"{', '.join(freed)}: turns are started again")
    return exit_codes.OK
