"""The dispatcher's picture of what is owed: a queue of turn ids for each lane, oldest first."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field

from raftsup.dispatcher.scheduler import Head
from raftsup.turn import Turn


@dataclass
class Owed:
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
