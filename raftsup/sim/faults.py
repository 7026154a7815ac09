"""Faults as data: what goes wrong, for whom, how often, how long.

==================== ========================================================================
kind                 what a caller of the server sees
==================== ========================================================================
``error``            ``status`` (default 503)
``stall``            the request is taken and never answered
``mute``             so too, and open streams say nothing more, as of a server that was stopped
``garbage``          200 with bytes that are no JSON (on the stream: no events)
``reset``            the accepted connection is closed without an answer
``cut``              the connection is closed in the middle of the answer; on the stream, of a hint
``revoke``           401: the credential is no longer good; open streams live on (of ``next``: end)
``hold-first-chunk`` streams open and say nothing, as of a server that is slow at their start
``no-stream``        404 to who asks for a stream: the server has none
``delegated``        403 to all but the identity, as to a "delegated" connection
``unapproved``       nobody approves the login that was begun in a browser
``drop``             open streams are closed; with ``seconds``, new ones too for that long
``refuse``           nobody listens for ``seconds``, and open connections are closed
``bridge``           the bridge itself misbehaves as ``spec`` says (see ``bridge_faults``)
==================== ========================================================================
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

#: Kinds that an ordinary request of an agent can meet, in the order in which they are looked for.
REQUEST_KINDS = ("reset", "stall", "mute", "error", "garbage", "revoke", "cut")
KINDS = (
    *REQUEST_KINDS,
    "hold-first-chunk",
    "no-stream",
    "delegated",
    "unapproved",
    "drop",
    "refuse",
    "bridge",
)


class BadFault(ValueError):
    """The fault asked for makes no sense; the message says why."""


@dataclass(frozen=True)
class Fault:
    kind: str
    #: An agent's name or id; None is everybody.
    agent: str | None = None
    #: How many requests it spoils; None is until cleared.
    count: int | None = None
    #: How long it lasts; None is until cleared.
    seconds: float | None = None
    status: int = 503
    #: Only paths that start so.
    route: str = ""
    #: For ``bridge``: ``die``, ``exit:0@1.5`` and so on.
    spec: str = ""
    set_at: float = 0.0
    id: int = 0

    def concerns(self, names: tuple[str, ...], path: str) -> bool:
        return (self.agent is None or self.agent in names) and path.startswith(self.route)

    def live(self, now: float) -> bool:
        spent = self.count is not None and self.count <= 0
        over = self.seconds is not None and now >= self.set_at + self.seconds
        return not spent and not over


def parse(raw: Mapping[str, Any]) -> Fault:
    """A fault from the control API's JSON. Raises ``BadFault``."""
    known = {"kind", "agent", "count", "seconds", "status", "route", "spec"}
    if unknown := set(raw) - known:
        raise BadFault(f"unknown key {sorted(unknown)[0]!r}; known: {', '.join(sorted(known))}")
    if raw.get("kind") not in KINDS:
        raise BadFault(f"kind must be one of {', '.join(KINDS)}")
    if raw["kind"] == "refuse" and not raw.get("seconds"):
        raise BadFault("refuse needs seconds: nobody could reach the server to clear it")
    if raw["kind"] == "bridge" and not raw.get("spec"):
        raise BadFault("bridge needs spec, for example die or exit:0@1.5")
    return Fault(**raw)


class FaultBoard:
    """The faults in force. Thread-safe. Times are the clock's, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._faults: dict[int, Fault] = {}
        self._last_id = 0

    def set(self, fault: Fault) -> int:
        with self._lock:
            self._last_id += 1
            self._faults[self._last_id] = replace(fault, id=self._last_id, set_at=self._clock())
            return self._last_id

    def clear(self, id: int | None = None) -> None:
        with self._lock:
            if id is None:
                self._faults.clear()
            else:
                self._faults.pop(id, None)

    def take(self, kinds: tuple[str, ...], names: tuple[str, ...], path: str) -> Fault | None:
        """The first live fault of these kinds for this request; uses up one of its count."""
        with self._lock:
            now = self._clock()
            for fault in self._faults.values():
                if fault.kind in kinds and fault.live(now) and fault.concerns(names, path):
                    if fault.count is not None:
                        self._faults[fault.id] = replace(fault, count=fault.count - 1)
                    return fault
        return None

    def forgive(self, kind: str, names: tuple[str, ...]) -> None:
        """End the faults of that kind that are about these alone."""
        with self._lock:
            ended = [f.id for f in self._faults.values() if f.kind == kind and f.agent in names]
            for id in ended:
                del self._faults[id]

    def holds(self, kind: str, names: tuple[str, ...]) -> bool:
        """Whether a fault of that kind holds for these; uses none of it up."""
        with self._lock:
            now = self._clock()
            return any(
                f.kind == kind and f.live(now) and f.concerns(names, "")
                for f in self._faults.values()
            )

    def standing(self, id: int) -> bool:
        """Whether that fault still holds; its count does not matter to one it has caught."""
        with self._lock:
            fault = self._faults.get(id)
            return fault is not None and replace(fault, count=None).live(self._clock())

    def dropped(self, names: tuple[str, ...], opened_at: float) -> bool:
        """Whether a stream opened at ``opened_at`` must be closed."""
        with self._lock:
            now = self._clock()
            return any(
                f.set_at >= opened_at or (f.seconds is not None and f.live(now))
                for f in self._faults.values()
                if f.kind == "drop" and f.concerns(names, "")
            )

    def now(self) -> float:
        return self._clock()

    def list(self) -> list[dict[str, Any]]:
        with self._lock:
            now = self._clock()
            return [asdict(f) for f in self._faults.values() if f.live(now)]
