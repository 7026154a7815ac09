"""``raftsup demo``: see it work."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from raftsup import exit_codes
from raftsup.cli.main import complain
from raftsup.ops import demo


def run(arguments: argparse.Namespace) -> int:
    if arguments.messages < 3:
        return complain("--messages must be 3 or more: kills happen in between", exit_codes.USAGE)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.2f} s  {text}", flush=True)

    # As Ctrl-C does: the host and the simulator must not outlive this command.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(exit_codes.FAILED))
    try:
        problems = demo.run(arguments.messages, say)
    except demo.DemoFailed as error:
        return complain(str(error), exit_codes.FAILED)
    for problem in problems:
        print(f"WRONG: {problem}")
    if problems:
        return complain(f"{len(problems)} promises were not kept", exit_codes.FAILED)
    say("nothing was lost, nothing was run twice")
    return exit_codes.OK
