"""``raftsup stop``: drain and end the host."""

from __future__ import annotations

import argparse
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_state_dir, seconds
from raftsup.cli.context import state_of
from raftsup.cli.output import complain, tell
from raftsup.ops import lifecycle

EXAMPLES = "raftsup stop --timeout 60"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument("--timeout", type=seconds, default=90.0, metavar="SECONDS",
                         help="how long to wait for its end (default 90)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    pid = lifecycle.stop(state, arguments.timeout, tell)
    if pid is None:
        return complain(f"no host runs on {state.root}", exit_codes.NOT_RUNNING)
    print(f"raftsup stopped (pid {pid})")
    return exit_codes.OK
