"""How a bridge misbehaves when it is told to: ``kind[:value][@seconds]``.

========== =================================================================================
``die``    ends with 1 and the true CLI's "Unexpected error: terminated"; the lock stays
``exit:N`` ends at once with N and not a word
``hang``   does nothing any more; a signal still ends it
``freeze`` stops itself (SIGSTOP): only SIGKILL and SIGCONT reach it
``noise``  writes on stdout what is no JSON, then goes on
========== =================================================================================

The word comes from ``RAFT_SIM_BRIDGE_FAULT`` (every bridge of the host) or from the server's
control API (one agent's). ``@seconds`` is how long after the word it happens.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType
from typing import NamedTuple

KINDS = ("die", "exit", "hang", "freeze", "noise")
#: No UTF-8, no JSON, no end of line for longer than a pipe holds.
NOISE = b'\xff\xfe\x00 not json\n{"type":\n[]\n42\n' + b"x" * 70_000 + b"\n"


class FaultSpec(NamedTuple):
    kind: str
    value: int = 1
    after: float = 0.0


def parse(text: str) -> FaultSpec:
    """Raises ``ValueError``."""
    word, _, after = text.partition("@")
    kind, _, value = word.partition(":")
    if kind not in KINDS:
        raise ValueError(f"bridge fault {text!r}: write one of {', '.join(KINDS)}")
    return FaultSpec(kind, int(value or 1), float(after or 0))


def arrange(spec: FaultSpec) -> None:
    """Have it happen after its delay, also in the middle of a POST; at once without one."""
    if spec.after <= 0:
        happen(spec)
        return

    def ring(number: int, frame: FrameType | None) -> None:
        happen(spec)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, spec.after)


def happen(spec: FaultSpec) -> None:
    match spec.kind:
        case "die":
            os.write(2, b"Error: Unexpected error: terminated\nCode: INTERNAL_BUG\n")
            os._exit(1)
        case "exit":
            os._exit(spec.value)
        case "hang":
            while True:
                time.sleep(3600)
        case "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "noise":
            sys.stdout.flush()
            os.write(1, NOISE)
