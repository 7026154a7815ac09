"""``Ledger``: what the rest of raftsup asks of it, each call one transaction."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from raftsup.ledger import dedupe, turns
from raftsup.ledger.errors import LedgerError
from raftsup.ledger.queries import Latest, excess, in_phase, latest_of, turn_of
from raftsup.ledger.schema import (
    QUEUED,
    RUNNING,
    Counts,
    Table,
    digest,
    dump_lane,
    dump_turn,
    load_lane,
    load_tally,
    load_turn,
    pack_number,
    parse_place,
    unpack_number,
)
from raftsup.ledger.store import Store
from raftsup.ledger.transaction import View
from raftsup.ledger.verify import contradictions
from raftsup.turn import Event, LaneHealth, State, Turn
from raftsup.wake import Dedupe, Wake


@dataclass(frozen=True)
class Accepted:
    """The turn that a wake belongs to; 0 if that turn's record was swept away."""

    turn: int
    duplicate: bool


def open_ledger(path: Path, map_size: int = 1 << 30, *, readonly: bool = False) -> Ledger:
    """Opens the ledger in folder ``path``, making it unless ``readonly``. One a process, and
    after the fork. ``map_size`` is the most bytes that its file may grow to. Raises
    ``LedgerError``; ``LedgerUnavailable`` if a new one finds no room.
    """
    return Ledger(Store(path, map_size, readonly))


class Ledger:
    """Safe to call from several threads. Times are Unix seconds.

    Reads raise ``LedgerError``, writes also ``LedgerUnavailable``; a call that raises has
    recorded nothing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def ledger_id(self) -> str:
        return self._store.meta.ledger_id

    def accept(
        self,
        account: str,
        wake: Wake,
        *,
        now: float,
        memory: Dedupe,
        coalesce: bool,
    ) -> Accepted:
        """Records a wake and the turn it is owed, durably.

        A duplicate owes no new turn: its ``identity`` was seen within ``memory.ttl``, or its
        ``message_id`` belongs to a turn that is queued or running. With ``coalesce``, neither
        does a wake whose account has a queued turn that never began: it joins the oldest one.
        """
        me, identity = self._key(account), self._key(account, "identity", wake.identity)
        id_ = wake.message_id
        message = None if id_ is None else self._key(account, "message", id_)
        with self._store.write(grows=True) as view:
            tally = turns.tally_of(view, me, account)
            known = dedupe.find(view, identity, now, memory.ttl)
            if known is not None:
                turn, duplicate = known.turn, True
            else:
                turn, duplicate = self._owing(view, account, message, now, coalesce)
                tally = dedupe.remember(view, me, tally, identity, turn, now)
            tally = dedupe.forget(view, me, tally, now, memory)
            counts = tally.counts
            if duplicate:
                counts = replace(counts, duplicates=counts.duplicates + 1)
            else:
                counts = replace(counts, accepted=counts.accepted + 1, queued=counts.queued + 1)
            turns.count(view, me, tally, counts)
            if duplicate and view.get(Table.TURNS, pack_number(turn)) is None:
                turn = 0
        return Accepted(turn, duplicate)

    def _owing(
        self, view: View, account: str, message: bytes | None, now: float, coalesce: bool
    ) -> tuple[int, bool]:
        """The turn of a delivery that is new, and whether it was there before."""
        me = self._key(account)
        if message is not None and (open_turn := view.get(Table.MESSAGES, message)) is not None:
            return unpack_number(open_turn), True
        joined = turns.not_started(view, me) if coalesce else None
        turn = joined if joined is not None else turns.add(view, me, account, "wake", now).id
        if message is not None:
            dedupe.open_message(view, pack_number(turn), message)
        return turn, joined is not None

    def owe(self, account: str, source: str, *, now: float) -> Turn:
        """Owes a turn to something else than a wake: ``source`` says what."""
        me = self._key(account)
        with self._store.write(grows=True) as view:
            tally = turns.tally_of(view, me, account)
            counts = tally.counts
            counts = replace(counts, asked=counts.asked + 1, queued=counts.queued + 1)
            turns.count(view, me, tally, counts)
            return turns.add(view, me, account, source, now)

    def owed(self, after: int = 0) -> list[Turn]:
        """Queued turns with an id above ``after``, in the order of their ids."""
        with self._store.read() as view:
            return in_phase(view, QUEUED, after)

    def running(self) -> list[Turn]:
        with self._store.read() as view:
            return in_phase(view, RUNNING, 0)

    def get(self, turn: int) -> Turn:
        with self._store.read() as view:
            return turn_of(view, turn)

    def claim(self, turn: int, *, now: float) -> Turn:
        """The next attempt begins. Raises ``IllegalMove`` unless the turn is queued."""
        with self._store.write() as view:
            return turns.move(view, self._key, turn, Event.CLAIM, now, "")

    def remember(self, turn: int, handle: str) -> Turn:
        """Keeps what finds the running attempt's run again. Raises ``LedgerError`` unless the
        turn is running.
        """
        with self._store.write() as view:
            before = turn_of(view, turn)
            if before.state is not State.RUNNING:
                raise LedgerError(f"turn {turn} is {before.state}: it has no run to remember")
            kept = replace(before, handle=handle)
            view.set(Table.TURNS, pack_number(turn), dump_turn(kept))
            return kept

    def settle(
        self,
        turn: int,
        event: Event,
        *,
        now: float,
        reason: str = "",
        lane: tuple[str, LaneHealth] | None = None,
    ) -> Turn:
        """Any move but a claim, and the lane's health with it. Raises ``IllegalMove``."""
        if event is Event.CLAIM:
            raise ValueError("a turn is claimed with claim()")
        with self._store.write() as view:
            moved = turns.move(view, self._key, turn, event, now, reason)
            if lane is not None:
                self._put_lane(view, *lane)
            return moved

    def lane_health(self) -> dict[str, LaneHealth]:
        with self._store.read() as view:
            return dict(load_lane(data) for _, data in view.scan(Table.LANES))

    def set_lane_health(self, lane: str, health: LaneHealth) -> None:
        with self._store.write() as view:
            self._put_lane(view, lane, health)

    def _put_lane(self, view: View, lane: str, health: LaneHealth) -> None:
        view.set(Table.LANES, self._key("", "lane", lane), dump_lane(lane, health))

    def counts(self) -> dict[str, Counts]:
        """By account, since the ledger began: sweeping does not lower them."""
        with self._store.read() as view:
            tallies = [load_tally(data) for _, data in view.scan(Table.ACCOUNTS)]
        return {tally.account: tally.counts for tally in tallies}

    def latest(self) -> dict[str, Latest]:
        """By account, what happened last."""
        with self._store.read() as view:
            tallies = [load_tally(data) for _, data in view.scan(Table.ACCOUNTS)]
            return {t.account: latest_of(view, self._key(t.account), t) for t in tallies}

    def recent(self, account: str | None = None, limit: int = 50) -> list[Turn]:
        """The turns owed last, newest first, in any state."""
        with self._store.read() as view:
            if account is None:
                return [load_turn(data) for _, data in islice(view.last(Table.TURNS), limit)]
            keys = view.scan(Table.TURN_INDEX, self._key(account))
            ids = heapq.nlargest(limit, (parse_place(key)[1] for key, _ in keys))
            return [turn_of(view, turn) for turn in ids]

    def sweep(self, *, now: float, keep: int, keep_for: float, limit: int = 200) -> list[Turn]:
        """Removes ended turns beyond the newest ``keep`` of their account or ended more than
        ``keep_for`` seconds ago: at most ``limit``, oldest end first. Returns them.
        """
        with self._store.read() as view:
            if next(excess(view, now, keep, keep_for), None) is None:
                return []  # the usual case must not wait for the write lock
        with self._store.write() as view:
            ids = [turn for _, turn in islice(excess(view, now, keep, keep_for), limit)]
            return [turns.sweep(view, self._key, turn) for turn in ids]

    def verify(self) -> list[str]:
        """What contradicts itself, in words; nothing if the ledger is sound."""
        with self._store.read() as view:
            return list(contradictions(view, self._key))

    def fill(self) -> tuple[int, int]:
        """Bytes that hold something, and that it may grow to. Raises ``LedgerError``."""
        return self._store.fill()

    def backup(self, file: Path) -> None:
        """Copies the ledger, live, into one new file. As ``data.mdb`` in a folder of its own it
        is a ledger again. Raises ``LedgerError`` where ``file`` exists."""
        self._store.backup(file)

    def close(self) -> None:
        self._store.close()

    def _key(self, *parts: str) -> bytes:
        return digest(self._store.meta.digest_key, *parts)
