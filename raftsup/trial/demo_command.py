"""``raftsup demo``: see it work."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import Any

from raftsup import exit_codes
from raftsup.errors import UsageError
from raftsup.trial import demo

EXAMPLES = "raftsup demo"


def add_arguments(command: Any) -> None:
    command.add_argument("--messages", type=int, default=12, metavar="N",
                         help="messages to send (default 12)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    if arguments.messages < 3:
        raise UsageError("--messages must be 3 or more: kills happen in between")
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.2f} s  {text}", flush=True)

    # As Ctrl-C does: the host and the simulator must not outlive this command.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(exit_codes.FAILED))
    problems = demo.run(arguments.messages, say)
    for problem in problems:
        print(f"WRONG: {problem}")
    if problems:
        raise demo.DemoFailed(f"{len(problems)} promises were not kept")
    say("nothing was lost, nothing was run twice")
    return exit_codes.OK
