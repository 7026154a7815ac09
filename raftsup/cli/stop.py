"""``raftsup stop``: drain and end the host."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from raftsup import exits, flock
from raftsup.cli.context import state_of
from raftsup.cli.main import complain


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    pid = flock.holder(state.lock)
    if not pid:
        return complain(f"no host runs on {state.root}", exits.NOT_RUNNING)
    os.kill(pid, signal.SIGTERM)
    begun = told = time.monotonic()
    while flock.holder(state.lock) == pid:
        now = time.monotonic()
        if now - begun > arguments.timeout:
            return complain(
                f"pid {pid} still drains after {arguments.timeout:g} s; a second `raftsup stop`"
                " interrupts its turns (they are owed again at the next start)",
                exits.FAILED,
            )
        if now - told > 2 and sys.stderr.isatty():
            told = now
            print(f"raftsup: waiting for pid {pid} to drain ({now - begun:.0f} s)", file=sys.stderr)
        time.sleep(0.05)
    print(f"raftsup stopped (pid {pid})")
    return exits.OK
