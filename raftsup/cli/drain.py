"""``raftsup drain``: accept nothing more, let the running turns end, then end the host."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_json, add_state_dir, seconds
from raftsup.cli.context import state_of
from raftsup.cli.output import complain, print_json, tell
from raftsup.ops import drain, rpc

EXAMPLES = "raftsup drain --timeout 600 && pip install -U raftsup && raftsup start"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument(
        "--timeout", type=seconds, metavar="SECONDS",
        help="then interrupt what still runs (default: wait as long as it takes)",
    )  # fmt: skip
    add_json(command)


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    try:
        end = drain.drain(state, arguments.timeout, tell)
    except (rpc.ParentDown, rpc.ParentRefused) as error:
        return complain(f"not drained: {error}", exit_codes.FAILED)
    except KeyboardInterrupt:
        tell("the host goes on draining: `raftsup drain` follows it, `raftsup stop` hurries it")
        raise
    if end is None:
        return complain(f"no host runs on {state.root}", exit_codes.NOT_RUNNING)
    if arguments.json:
        print_json(asdict(end))
    else:
        turns = "turn" if len(end.finished) == 1 else "turns"
        print(f"raftsup drained (pid {end.pid}): {len(end.finished)} running {turns} finished")
    if end.unfinished:
        turns = ", ".join(map(str, end.unfinished))
        return complain(
            f"turn {turns} has not ended: it goes on, or runs again, at the next start",
            exit_codes.FAILED,
        )
    return exit_codes.OK
