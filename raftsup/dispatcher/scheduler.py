"""Which turn starts next: pure decisions over lanes.

A lane runs one turn at a time, oldest first, and nothing overtakes: a turn that waits for its
next attempt holds its lane. Between lanes the one served longest ago goes first, so that a
flood in one delays the others by one turn at most.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from raftsup.backoff import Backoff
from raftsup.turn import LaneHealth, OutcomeKind

#: The name under which a pause of all lanes is kept.
ALL = "*"


@dataclass(frozen=True)
class Head:
    """The oldest owed turn of a lane."""

    lane: str
    turn: int


@dataclass(frozen=True)
class Decision:
    #: Turns to start now, in this order.
    start: tuple[int, ...] = ()
    #: Unix seconds at which to decide again, because a pause ends then; None: wait for news.
    look_again: float | None = None


def decide(
    heads: Collection[Head],
    *,
    busy: Collection[str],
    shut: Collection[str] = (),
    health: Mapping[str, LaneHealth],
    served: Mapping[str, int],
    slots: int,
    now: float,
) -> Decision:
    """What to start.

    ``busy``: lanes whose turn is under way or whose predecessor is not known to be gone.
    ``shut``: lanes whose agent cannot be had now; whoever shut them tells when it can.
    ``served``: a counter's value when the lane was last served (absent: never).
    ``slots``: how many more turns may run on this host.
    """
    everything = health.get(ALL, LaneHealth())
    if everything.paused:
        return Decision()
    closed = {*busy, *shut}
    free = [head for head in heads if head.lane not in closed and not _of(health, head).paused]
    ready = [head for head in free if _of(health, head).not_before <= now]
    resting = [_of(health, head).not_before for head in free if head not in ready]
    ready.sort(key=lambda head: (served.get(head.lane, -1), head.turn))
    return Decision(
        start=tuple(head.turn for head in ready[: max(0, slots)]),
        look_again=min(resting, default=None),
    )


def _of(health: Mapping[str, LaneHealth], head: Head) -> LaneHealth:
    return health.get(head.lane, LaneHealth())


def bounded(health: LaneHealth, now: float, longest: float) -> LaneHealth:
    """``health`` without a rest of more than ``longest`` seconds: one that was reckoned by a
    clock that has been set back since must not last until that clock's time comes.
    """
    return replace(health, not_before=0.0) if health.not_before > now + longest else health


def after(
    health: LaneHealth, outcome: OutcomeKind, now: float, pause: Backoff, random: float
) -> LaneHealth:
    """A lane's health after an attempt: failures in a row earn growing pauses, one success ends
    them. What the host or an operator cut short says nothing about the agent; where the host
    itself is in trouble, waiting is right as well.
    """
    if outcome is OutcomeKind.SUCCEEDED:
        return replace(health, failures=0, not_before=0.0)
    if outcome in (OutcomeKind.CANCELLED, OutcomeKind.INTERRUPTED):
        return health
    failures = health.failures + 1
    return replace(health, failures=failures, not_before=now + pause.delay(failures, random))
