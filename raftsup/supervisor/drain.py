"""A drain: the host ends, in the time that its running turns take.

A stop gives them ``turns.drain`` seconds. A drain gives them as long as it was told, or as they
need: the dispatcher is told so before its SIGTERM, and supervisor's own limit is lifted. A stop
that comes meanwhile brings the stop's budget back. A drain has no end of its own: it is over
with the host. Its moves are the table ``TRANSITIONS``; another raises ``KeyError``.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from raftsup.dispatcher import config_pipe
from raftsup.dispatcher import main as dispatcher
from raftsup.supervisor import programs
from raftsup.supervisor._compat import RUNNING_STATES, ProcessStates, SupervisorStates

#: Seconds before SIGKILL: never. A whole number: supervisor adds it to the time of day.
_NEVER_S = 10 * 365 * 86400
#: Seconds between two words to interrupt. One that comes close upon another signal is lost: the
#: kernel keeps no count of them.
_RETRY_S = 1.0


class State(StrEnum):
    OFF = "off"
    #: No wake is accepted, and the running turns have their time.
    WAITING = "waiting"
    #: Their time is over: the dispatcher is told to interrupt them, and has a hard end.
    INTERRUPTING = "interrupting"


class Event(StrEnum):
    BEGIN = "begin"  # an operator asks for it, or for another time
    DUE = "due"  # the time is over


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OFF, Event.BEGIN): State.WAITING,
    (State.WAITING, Event.BEGIN): State.WAITING,
    (State.WAITING, Event.DUE): State.INTERRUPTING,
    (State.INTERRUPTING, Event.BEGIN): State.INTERRUPTING,
    # It is said again until the dispatcher ends.
    (State.INTERRUPTING, Event.DUE): State.INTERRUPTING,
}


class Drain:
    """``now`` and ``wall`` are the monotonic clock and the time of day, in seconds."""

    def __init__(
        self,
        parent: Any,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        kill: Callable[[int, int], None] = os.kill,
    ) -> None:
        self._parent, self._options = parent, parent.options
        self._now, self._wall, self._kill = now, wall, kill
        self.state = State.OFF
        #: When the turns that still run are interrupted, on the monotonic clock.
        self._deadline: float | None = None
        #: The latest such time, once a stop has come.
        self._latest = math.inf

    @property
    def on(self) -> bool:
        return self.state is not State.OFF

    def begin(self, timeout: float | None) -> None:
        """Drain for at most ``timeout`` seconds; None: for as long as it takes. Said again it sets
        another time, if it says one; never a later one than a stop's.
        """
        if not self.on:
            process = self._dispatcher()
            if process.pid and process.state in RUNNING_STATES:
                with contextlib.suppress(OSError):
                    process.write(config_pipe.written(config_pipe.DrainWithoutDeadline()))
            process.config.stopwaitsecs = _NEVER_S
            self._options.logger.warn("draining: no wake is accepted, running turns end first")
            self._options.mood = SupervisorStates.SHUTDOWN
        self.state = TRANSITIONS[self.state, Event.BEGIN]
        if timeout is not None:
            self._set(self._now() + timeout)

    def tick(self) -> None:
        if not self.on:
            return
        if self._options.stop_requests and self._latest == math.inf:
            self._latest = self._now() + self._options.raftsup.turns.drain
            self._set(self._deadline or self._latest)
        now = self._now()
        if self._deadline is not None and now >= self._deadline:
            self._deadline = now + _RETRY_S
            self._interrupt()

    def awaits(self, process: Any) -> bool:
        """Whether the drain lasts until this one ends: if it hangs, nobody else would notice."""
        stopping = process.state == ProcessStates.STOPPING
        return self.on and stopping and process is self._dispatcher()

    def _set(self, deadline: float) -> None:
        self._deadline = min(deadline, self._latest)

    def _interrupt(self) -> None:
        process = self._dispatcher()
        if self.state is State.WAITING:
            process.config.stopwaitsecs = programs.dispatcher_stop(self._options.raftsup)
            process.delay = self._wall() + process.config.stopwaitsecs
            self._options.logger.warn("the drain's time is over: interrupting what still runs")
        if process.pid:
            with contextlib.suppress(ProcessLookupError):
                self._kill(process.pid, signal.SIGTERM)
        self.state = TRANSITIONS[self.state, Event.DUE]

    def _dispatcher(self) -> Any:
        return self._parent.process_groups[dispatcher.PROGRAM].processes[dispatcher.PROGRAM]
