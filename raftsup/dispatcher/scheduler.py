"""What is queued, and which turn starts next: pure decisions over lanes.

A lane runs one turn at a time, oldest first, and nothing overtakes: a turn that waits for its
next attempt holds its lane. Between lanes the one served longest ago goes first, so that a
flood in one delays the others by one turn at most.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from raftsup.backoff import Backoff
from raftsup.turn import LaneHealth, OutcomeKind, Turn

#: The name under which a pause of all lanes is kept.
ALL = "*"


@dataclass(frozen=True)
class Head:
    """The oldest owed turn of a lane."""

    lane: str
    turn: int


@dataclass
class TurnQueue:
    """A queue of turn ids for each lane, oldest first."""

    #: The lane of a turn, or None where the config does not run its account: such turns are held.
    lane_of: Callable[[Turn], str | None]
    _turns: dict[int, Turn] = field(default_factory=dict)
    _queues: dict[str, list[int]] = field(default_factory=dict)

    def add(self, turn: Turn) -> None:
        """Queue a turn; one that is queued already stays where it is."""
        known = turn.id in self._turns
        self._turns[turn.id] = turn
        if not known and (lane := self.lane_of(turn)):
            bisect.insort(self._queues.setdefault(lane, []), turn.id)

    def turn(self, turn_id: int) -> Turn:
        """A turn that is owed here."""
        return self._turns[turn_id]

    def take(self, turn_id: int) -> Turn | None:
        """Remove and return a turn; None if it is not owed here."""
        turn = self._turns.pop(turn_id, None)
        for lane, queue in list(self._queues.items()):
            # Mostly the head of its queue: found at the first look.
            if turn_id in queue:
                queue.remove(turn_id)
                if not queue:
                    del self._queues[lane]
        return turn

    def relane(self) -> None:
        """Queue everything anew, after ``lane_of`` has changed its mind."""
        turns, self._turns = self._turns, {}
        self._queues.clear()
        for turn in turns.values():
            self.add(turn)

    def heads(self) -> list[Head]:
        return [Head(lane, queue[0]) for lane, queue in self._queues.items()]

    def waiting(self) -> dict[str, int]:
        """How many turns wait in each lane."""
        return {lane: len(queue) for lane, queue in self._queues.items()}

    def held(self) -> dict[str, int]:
        """How many turns are owed by accounts that the config does not run, by account."""
        counts: dict[str, int] = {}
        for turn in self._turns.values():
            if self.lane_of(turn) is None:
                counts[turn.account] = counts.get(turn.account, 0) + 1
        return counts


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
    unavailable: Collection[str] = (),
    health: Mapping[str, LaneHealth],
    served: Mapping[str, int],
    slots: int,
    now: float,
) -> Decision:
    """What to start.

    ``busy``: lanes whose turn is under way or whose predecessor is not known to be gone.
    ``unavailable``: lanes whose agent cannot be had now; its runner tells when it can.
    ``served``: a counter's value when the lane was last served (absent: never).
    ``slots``: how many more turns may run on this host.
    """
    everything = health.get(ALL, LaneHealth())
    if everything.paused:
        return Decision()
    closed = {*busy, *unavailable}
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
