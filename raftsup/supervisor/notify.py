"""Telling systemd how the host is: datagrams of ``NAME=value`` lines, see sd_notify(3)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass


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
    # The variables are inherited: a child must not pet the watchdog for its parent.
    mine = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    seconds = int(microseconds) / 1e6 if mine and microseconds.isdigit() else 0.0
    return Listener(address, seconds)
