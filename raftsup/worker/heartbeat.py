"""The worker's proof of life: a request of its own, through socket, loop and threads.

Success touches the heartbeat that the parent watches. Where no such parent is (a stock
supervisord), the worker ends itself when it can no longer reach itself.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from raftsup import exit_codes
from raftsup.log import say

LOG = logging.getLogger("raftsup.worker")
_EVERY = 4.0
_TIMEOUT = 3.0
#: Seconds without an answer after which the endpoint counts as hung.
HUNG_AFTER_S = 15.0


def interval(watchdog: float) -> float:
    """Seconds between two probes, so that one that fails costs no healthy worker its life."""
    return min(_EVERY, watchdog / 4)


def beat(
    port: int,
    heartbeat: Path,
    every: float,
    stopping: threading.Event,
    also: Callable[[], None],
    hung_after: float = HUNG_AFTER_S,
) -> None:
    """Probe each ``every`` seconds until ``stopping``; does not return if the endpoint hangs.

    ``also`` runs each time.
    """
    answered = time.monotonic()
    while True:
        if answers(port, _TIMEOUT):
            answered = time.monotonic()
            _touch(heartbeat)
        elif stopping.is_set():
            return
        elif (silence := time.monotonic() - answered) > hung_after:
            LOG.critical(say("endpoint.hung", seconds=silence, next="restart"))
            os._exit(exit_codes.HUNG)
        also()
        if stopping.wait(every):
            return


def _touch(heartbeat: Path) -> None:
    try:
        heartbeat.touch(mode=0o600)
    except OSError as error:
        LOG.error(say("heartbeat.failed", reason=str(error)))


def answers(port: int, timeout: float) -> bool:
    """Whether the endpoint on this port answers within ``timeout`` seconds (each step)."""
    # A socket and a line: an HTTP client would cost every worker more memory than its bridge.
    request = f"GET /health HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(request.encode())
            return connection.recv(64).split(b" ", 2)[1:2] == [b"200"]
    except OSError:
        return False
