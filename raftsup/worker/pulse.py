"""The worker's proof of life: a request of its own, through socket, loop and threads.

Success touches the heartbeat that the parent watches. Where no such parent is (a stock
supervisord), the worker ends itself when it can no longer reach itself.
"""

from __future__ import annotations

import http.client
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from raftsup import exits
from raftsup.log import say

LOG = logging.getLogger("raftsup.worker")
EVERY = 4.0
_TIMEOUT = 3.0
#: Seconds without an answer after which the endpoint counts as hung.
HUNG_AFTER = 15.0


def beat(port: int, heartbeat: Path, stopping: threading.Event, also: Callable[[], None]) -> None:
    """Probe until ``stopping``; does not return if the endpoint hangs. ``also`` runs each time."""
    answered = time.monotonic()
    while True:
        if _answers(port):
            answered = time.monotonic()
            heartbeat.touch(mode=0o600)
        elif stopping.is_set():
            return
        elif (silence := time.monotonic() - answered) > HUNG_AFTER:
            LOG.critical(say("endpoint.hung", seconds=silence, next="restart"))
            os._exit(exits.HUNG)
        also()
        if stopping.wait(EVERY):
            return


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
