"""Which programs have stopped proving that they are alive: a pure rule over heartbeats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pulse:
    """A running program. Times are Unix seconds."""

    name: str
    pid: int
    started: float
    #: When its heartbeat file was last touched; 0.0 if it never was.
    beat: float


def silent(pulses: Iterable[Pulse], now: float, limit: float, awake_since: float) -> list[Pulse]:
    """Those silent for more than ``limit`` seconds.

    ``awake_since``: when this host last woke from a pause of its own (suspend, SIGSTOP). Silence
    before that proves nothing, since nobody could beat.
    """
    # A stamp from the future (the clock was set back since) is worth no more than one of now.
    return [p for p in pulses if now - min(now, max(p.beat, p.started, awake_since)) > limit]
