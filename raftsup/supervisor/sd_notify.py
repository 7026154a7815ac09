"""Telling systemd how the host is: what to say, a pure rule over its programs, and the datagrams.

Ready is a host whose programs have each proved themselves alive once: from then on a wake gets
in. A program that cannot do so holds the others up for ``READY_TIMEOUT_S`` seconds at most. The
messages are lines of ``NAME=value``, see sd_notify(3).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

#: Seconds after which a host counts as ready without the programs that are not up by then.
READY_TIMEOUT_S = 15.0
#: Signs of life (``WATCHDOG=1``) for each span that the manager tolerates without one.
_PINGS = 4


class Phase(StrEnum):
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    #: Stopping in its own time: a manager that is told STOPPING counts to its TimeoutStopSec.
    DRAINING = "draining"


@dataclass(frozen=True)
class Snapshot:
    """The host at one moment."""

    phase: Phase
    programs: int
    #: Those that have not proved themselves alive since their last start, by name.
    waiting: Sequence[str]


@dataclass(frozen=True)
class Sent:
    """What the manager knows by now. Times are seconds of one monotonic clock."""

    begun: float
    ready: bool = False
    phase: Phase = Phase.RUNNING
    status: str = ""
    pinged: float = float("-inf")


def messages(seen: Snapshot, sent: Sent, now: float, watchdog: float) -> tuple[list[str], Sent]:
    """The lines to send now ([]: none), and what the manager then knows.

    ``watchdog``: seconds between two signs of life that it tolerates; 0.0: it counts none.
    """
    lines: list[str] = []
    if seen.phase is not sent.phase:
        if seen.phase is Phase.STOPPING:
            lines.append("STOPPING=1")
        elif seen.phase is Phase.RESTARTING:
            # The process is replaced by exec; the next image says READY again.
            lines += ["RELOADING=1", f"MONOTONIC_USEC={int(now * 1e6)}"]
        sent = replace(sent, phase=seen.phase)
    settled = not seen.waiting or now - sent.begun > READY_TIMEOUT_S
    if seen.phase is Phase.RUNNING and settled and not sent.ready:
        lines.append("READY=1")
        sent = replace(sent, ready=True)
    status = _status(seen)
    if status != sent.status:
        lines.append(f"STATUS={status}")
        sent = replace(sent, status=status)
    if watchdog and now - sent.pinged >= watchdog / _PINGS:
        lines.append("WATCHDOG=1")
        sent = replace(sent, pinged=now)
    return lines, sent


def _status(seen: Snapshot) -> str:
    up = seen.programs - len(seen.waiting)
    if seen.phase is not Phase.RUNNING:
        return f"{seen.phase}: {up} programs still run"
    if seen.waiting:
        return f"{up} of {seen.programs} programs are up; not {', '.join(seen.waiting)}"
    return f"all {seen.programs} programs are up"


@dataclass(frozen=True)
class Listener:
    """Who wants to be told. ``address`` is "" where no service manager asked."""

    address: str = ""
    #: Seconds between two signs of life that the manager tolerates; 0.0: it counts none.
    watchdog: float = 0.0

    def tell(self, *lines: str) -> None:
        """Send ``lines`` as one message. A manager that is gone or slow costs nothing."""
        if not self.address or not lines:
            return
        # "@" stands for the NUL byte of an address in the abstract namespace.
        address = "\0" + self.address[1:] if self.address[0] == "@" else self.address
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.setblocking(False)
            out.sendto("\n".join(lines).encode(), address)


def listener(environ: Mapping[str, str], pid: int) -> Listener:
    """The listener that the service manager named for the process ``pid``."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return Listener()
    microseconds = environ.get("WATCHDOG_USEC", "")
    # The variables are inherited: a child must not ping the watchdog for its parent.
    mine = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    seconds = int(microseconds) / 1e6 if mine and microseconds.isdigit() else 0.0
    return Listener(address, seconds)
