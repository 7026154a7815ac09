"""Which runs the fake model has seen, and whether two of one profile ever overlapped. No I/O.

A run begins with a call that ends in the user's message, and ends with the model's last word,
with a refusal that the model was told to give, or because its caller went away. A caller that is
killed between two calls leaves a run open: whoever kills says so (``close_all``).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.support.openclaw.model_turn import Where

FINISHED, DROPPED = "finished", "dropped"


@dataclass
class Run:
    profile: str
    #: Messages of the user in its session when it began.
    asked: int
    #: Whether the Gateway resumed the session by itself: nobody sent a notice.
    resumed: bool
    begun: float
    calls: int = 0
    ended: float | None = None
    #: How it ended; "" while it is open. A caller that was killed: "dropped" if it was waiting
    #: for an answer, else what its killer said.
    how: str = ""
    #: It began while another run of its profile was open.
    overlaps: bool = False


class Runs:
    """Thread-safe. Times are Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._calls = 0
        self._in_flight = Counter[str]()
        self._most_at_once = Counter[str]()
        self._runs: list[Run] = []

    def begin_call(self, where: Where | None) -> Run | None:
        """A call has come; the run that it belongs to."""
        with self._lock:
            self._calls += 1
            if where is None:
                return None
            self._in_flight[where.profile] += 1
            most = max(self._most_at_once[where.profile], self._in_flight[where.profile])
            self._most_at_once[where.profile] = most
            run = self._open(where) or self._new(where)
            run.calls += 1
            return run

    def end_call(self, run: Run | None, how: str = "") -> None:
        """The call is over; so is its run if ``how`` says how."""
        if run is not None:
            with self._lock:
                self._in_flight[run.profile] -= 1
            if how:
                self.end_run(run, how)

    def end_run(self, run: Run, how: str) -> None:
        with self._lock:
            if not run.how:
                run.how, run.ended = how, self._clock()

    def close_all(self, how: str) -> None:
        """Whoever led the open runs is gone."""
        with self._lock:
            for run in self._runs:
                if not run.how:
                    run.how, run.ended = how, self._clock()

    def forget(self) -> None:
        """From here on as at the start; whoever still runs is not told of any more."""
        with self._lock:
            self._calls, self._runs = 0, []
            self._most_at_once.clear()

    def told(self) -> dict[str, Any]:
        with self._lock:
            return {
                "calls": self._calls,
                "in_flight": +self._in_flight,
                "most_at_once": dict(self._most_at_once),
                "runs": [asdict(run) for run in self._runs],
            }

    def _open(self, where: Where) -> Run | None:
        """The run that this call goes on with; also one whose refused call is repeated."""
        for run in reversed(self._runs):
            if (run.profile, run.asked) == (where.profile, where.asked):
                if run.how.startswith("status"):
                    run.how, run.ended = "", None
                if not run.how:
                    return run
        return None

    def _new(self, where: Where) -> Run:
        others = any(r.profile == where.profile and not r.how for r in self._runs)
        run = Run(where.profile, where.asked, where.resumed, self._clock(), overlaps=others)
        self._runs.append(run)
        return run
