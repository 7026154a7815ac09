"""From the dispatcher's socket to the bridge: one thread that listens, one queue that waits.

On one connection ``subscribe`` is followed by ``status``. The dispatcher answers in order, so what
``status`` tells is true between the events before it and those after it, and nothing is missed.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from raftsup.backoff import Backoff
from raftsup.errors import RaftsupError
from raftsup.hook_token import Run
from raftsup.log import say
from raftsup.worker.activity import codec, state
from raftsup.worker.activity.hooks import Report
from raftsup.worker.activity.state import Dot, Next

LOG = logging.getLogger("raftsup.worker")
#: Events that wait for the bridge. It fetches after each pass and at each heartbeat.
CAPACITY = 256
#: Failures in a row after which Raft is told: a dispatcher's restart takes less.
_MANY = 5
_CONNECT_TIMEOUT_S = 5.0

Event = dict[str, Any]


class Queue:
    """What waits to be fetched, at most ``capacity`` of the newest. For several threads."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._events: deque[Event] = deque()
        self._capacity = capacity
        self._dropped = 0
        self._lock = threading.Lock()

    def put(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)
            if len(self._events) > self._capacity:
                self._events.popleft()
                self._dropped += 1

    def drain(self, most: int) -> tuple[list[Event], int]:
        """The oldest ``most`` events, and how many were dropped since the last drain. Neither is
        told again, also if the answer gets lost: an old dot is worth no second try.
        """
        with self._lock:
            events = [self._events.popleft() for _ in range(min(most, len(self._events)))]
            dropped, self._dropped = self._dropped, 0
        return events, dropped


class _Refused(RaftsupError):
    """The dispatcher answered, and said no."""


@dataclass
class Feed:
    """Fills ``put`` with one account's activity. ``run`` is its thread; ``hook`` is for others."""

    path: Path
    account: str
    #: The session that the wakes of this worker are answered with.
    session: str
    put: Callable[[Event], None]
    stopping: threading.Event
    #: Between tries of a dispatcher that is away, in seconds.
    backoff: Backoff = Backoff(0.25, 5.0)
    _dot: Dot = field(default_factory=Dot)
    _told_at: int = 0
    _heard: bool = False
    #: From the change of the dot to the event in ``put``: the newest event must be the true one.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Listen until ``stopping``, and again to each new dispatcher."""
        failures = 0
        while not self.stopping.is_set():
            why = self._listen()
            failures = 1 if self._heard else failures + 1
            if failures == _MANY:
                LOG.warning(say("activity.deaf", reason=why))
                with self._lock:
                    self._tell(state.lost(self._dot, time.time()))
            self.stopping.wait(self.backoff.delay(failures, random.random()))  # noqa: S311

    def running(self) -> list[Run]:
        """The attempts that run now, as far as the dispatcher has been heard."""
        return list(self._dot.runs)

    def hook(self, run: Run, report: Report) -> None:
        """Take what a hook of the attempt reports; nothing comes of it once that has ended."""
        now = time.time()
        with self._lock:
            since = self._dot.runs.get(run)
            if since is None:
                return
            dot, told = state.follow(self._dot, report.heard(run, since, now))
            if told is not None and report.took is not None:
                told = replace(told, took=report.took)
            if told is not None and report.error_class:
                told = replace(told, error_class=report.error_class)
            self._tell((dot, told), report.event_id)

    def _listen(self) -> str:
        """One connection, from its start to its end; why it ended."""
        self._heard = False
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_CONNECT_TIMEOUT_S)
                connection.connect(str(self.path))
                connection.sendall(b'{"verb":"subscribe"}\n{"verb":"status"}\n')
                # From here on silence is no news: a dispatcher that hangs is ended by its watchdog.
                connection.settimeout(None)
                with connection.makefile("rb") as lines:
                    for line in lines:
                        self._hear(orjson.loads(line))
        except (OSError, orjson.JSONDecodeError, _Refused) as error:
            return f"{self.path}: {error}"
        return f"{self.path}: hung up"

    def _hear(self, raw: Any) -> None:
        if not isinstance(raw, dict):
            return
        if raw.get("ok") is False:
            raise _Refused(str(raw.get("error")))
        if "running" in raw:
            self._heard = True
            runs = codec.parse_running(raw["running"], self.account)
            with self._lock:
                self._tell(state.look(self._dot, runs, time.time()))
        elif (heard := codec.parse(raw, self.account)) is not None:
            with self._lock:
                self._tell(state.follow(self._dot, heard))

    def _tell(self, step: Next, event_id: str = "") -> None:
        self._dot, told = step
        if told is not None:
            # Raft believes the newest: two events of one moment must not be two of one time.
            self._told_at = max(int(told.at * 1000), self._told_at + 1)
            event_id = event_id or f"raftsup-{uuid.uuid4()}"
            self.put(codec.wire(told, event_id, self.session, self._told_at))
