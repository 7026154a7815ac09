"""What the service manager is told of the host, and when: a pure rule over its programs.

Ready is a host whose programs have each proved themselves alive once: from then on a wake gets
in. A program that cannot do so holds the others up for ``PATIENCE`` seconds at most.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

#: Seconds after which a host counts as ready without the programs that are not up by then.
PATIENCE = 15.0
#: Signs of life for each span that the manager tolerates without one.
_PETS = 4


class Phase(StrEnum):
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    #: Stopping in its own time: a manager that is told STOPPING counts to its TimeoutStopSec.
    DRAINING = "draining"


@dataclass(frozen=True)
class Look:
    """The host at one moment."""

    phase: Phase
    programs: int
    #: Those that have not proved themselves alive since their last start, by name.
    waiting: Sequence[str]


@dataclass(frozen=True)
class Told:
    """What the manager knows by now. Times are seconds of one monotonic clock."""

    begun: float
    ready: bool = False
    phase: Phase = Phase.RUNNING
    status: str = ""
    petted: float = float("-inf")


def news(look: Look, told: Told, now: float, watchdog: float) -> tuple[list[str], Told]:
    """The lines to send now ([]: none), and what the manager then knows.

    ``watchdog``: seconds between two signs of life that it tolerates; 0.0: it counts none.
    """
    lines: list[str] = []
    if look.phase is not told.phase:
        if look.phase is Phase.STOPPING:
            lines.append("STOPPING=1")
        elif look.phase is Phase.RESTARTING:
            # The process is replaced by exec; the next herald says READY again.
            lines += ["RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"]
        told = replace(told, phase=look.phase)
    settled = not look.waiting or now - told.begun > PATIENCE
    if look.phase is Phase.RUNNING and settled and not told.ready:
        lines.append("READY=1")
        told = replace(told, ready=True)
    status = _status(look)
    if status != told.status:
        lines.append(f"STATUS={status}")
        told = replace(told, status=status)
    if watchdog and now - told.petted >= watchdog / _PETS:
        lines.append("WATCHDOG=1")
        told = replace(told, petted=now)
    return lines, told


def _status(look: Look) -> str:
    up = look.programs - len(look.waiting)
    if look.phase is not Phase.RUNNING:
        return f"{look.phase}: {up} programs still run"
    if look.waiting:
        return f"{up} of {look.programs} programs are up; not {', '.join(look.waiting)}"
    return f"all {look.programs} programs are up"
