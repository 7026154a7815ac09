"""Whether a program has stopped proving that it is alive: a pure rule over heartbeats."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

T = TypeVar("T")


def is_silent(seen: Iterable[float], now: float, limit: float) -> bool:
    """Whether it has been silent for more than ``limit`` seconds. Times are Unix seconds.

    ``seen``: its start, its last beat (0.0: none), and when this host last woke from a pause of its
    own (suspend, SIGSTOP): silence before that proves nothing, since nobody could beat.
    """
    # A stamp from the future (the clock was set back since) is worth no more than one of now.
    return now - min(now, max(seen)) > limit


def first(silent: Collection[T], stopped: Collection[T]) -> Collection[T]:
    """Those of the programs that are to be killed now: while a signal keeps some ``stopped``, them
    alone. The others may be silent because they wait for one of them.
    """
    return stopped if silent and stopped else silent
