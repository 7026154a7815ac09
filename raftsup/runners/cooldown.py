"""How long a seat rests after its agent failed, and why: back-off, kept in memory."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from raftsup.backoff import Backoff
from raftsup.terminal import moment


class Rest:
    def __init__(self, backoff: Backoff, changed: Callable[[], None]) -> None:
        self._backoff, self._changed = backoff, changed
        self._failures = 0
        self._why = ""
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def failed(self, why: str) -> float:
        """Rest longer than the last time; the seconds. ``why``: a sentence for an operator."""
        self._failures += 1
        self._why = why
        seconds = self._backoff.delay(self._failures, random.random())  # noqa: S311
        self._until = time.time() + seconds
        self.close()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._over)
        self._changed()
        return seconds

    def recovered(self) -> None:
        """The agent did its work: the next failure is a first one."""
        self._failures = 0
        if self._timer is not None:
            self.close()
            self._changed()

    def reason(self) -> str:
        """Why nothing can start now; "" if something can."""
        if self._timer is None:
            return ""
        times = f", {self._failures} times in a row" if self._failures > 1 else ""
        return f"{self._why}{times}; the next start is at {moment(self._until)}"

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._timer = None
        self._changed()
