"""A drain: the host ends, in the time that its running turns take.

A stop gives them ``turns.drain`` seconds. A drain gives them as long as it was told, or as they
need: the dispatcher is told so before its SIGTERM, and supervisor's own limit is lifted. A stop
that comes meanwhile brings the stop's budget back.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from typing import Any

from raftsup.dispatcher import letters
from raftsup.dispatcher import main as dispatcher
from raftsup.supervisor import programs
from raftsup.supervisor._compat import RUNNING_STATES, ProcessStates, SupervisorStates

#: Seconds before SIGKILL: never. A whole number: supervisor adds it to the time of day.
_NEVER_S = 10 * 365 * 86400
#: Seconds between two words to interrupt. One that comes close upon another signal is lost: the
#: kernel keeps no count of them.
_RETRY_S = 1.0


class Drain:
    def __init__(self, parent: Any) -> None:
        self._parent, self._options = parent, parent.options
        self.on = False
        #: When the turns that still run are interrupted, on the monotonic clock.
        self._deadline: float | None = None
        #: The latest such time, once a stop has come.
        self._latest = math.inf

    def begin(self, timeout: float | None) -> None:
        """Drain for at most ``timeout`` seconds; None: for as long as it takes. Said again it sets
        another time, if it says one; never a later one than a stop's.
        """
        if not self.on:
            process = self._dispatcher()
            if process.pid and process.state in RUNNING_STATES:
                with contextlib.suppress(OSError):
                    process.write(letters.written(letters.NoHurry()))
            process.config.stopwaitsecs = _NEVER_S
            self._options.logger.warn("draining: no wake is accepted, running turns end first")
            self._options.mood = SupervisorStates.SHUTDOWN
        self.on = True
        if timeout is not None:
            self._set(time.monotonic() + timeout)

    def tick(self) -> None:
        if not self.on:
            return
        if self._options.stop_requests and self._latest == math.inf:
            self._latest = time.monotonic() + self._options.raftsup.turns.drain
            self._set(self._deadline or self._latest)
        now = time.monotonic()
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
        if process.config.stopwaitsecs == _NEVER_S:
            process.config.stopwaitsecs = programs.dispatcher_stop(self._options.raftsup)
            process.delay = time.time() + process.config.stopwaitsecs
            self._options.logger.warn("the drain's time is over: interrupting what still runs")
        if process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)

    def _dispatcher(self) -> Any:
        return self._parent.process_groups[dispatcher.PROGRAM].processes[dispatcher.PROGRAM]
