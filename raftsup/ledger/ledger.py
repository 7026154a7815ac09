"""``Ledger``: what the rest of raftsup asks of it, each call one transaction."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from raftsup.ledger import dedupe, queries, turns
from raftsup.ledger.errors import LedgerError
from raftsup.ledger.queries import excess, in_phase, turn_of
from raftsup.ledger.schema import (
    QUEUED,
    RUNNING,
    Counts,
    Table,
    digest,
    dump_lane,
    dump_stats,
    dump_turn,
    load_lane,
    load_stats,
    load_turn,
    pack_number,
    parse_turn_key,
    unpack_number,
)
from raftsup.ledger.store import Store
from raftsup.ledger.transaction import Transaction
from raftsup.ledger.verify import contradictions
from raftsup.turn import UNANSWERED, Event, LaneHealth, State, Turn
from raftsup.wake import Wake


@dataclass(frozen=True)
class _Limits:
    ttl: float
    max_entries: int


#: Where it is crowded, deliveries are remembered for an hour: what is sent again is sent again
#: within minutes.
_CROWDED = _Limits(3600.0, 10_000)
#: Times the reserve.
_SOON = 1.25


@dataclass(frozen=True)
class Accepted:
    """The turn that a wake belongs to; 0 if that turn's record was swept away."""

    turn: int
    duplicate: bool


def open_ledger(
    path: Path, map_size: int = 1 << 30, *, readonly: bool = False, create: bool = True
) -> Ledger:
    """Opens the ledger in folder ``path``, making it unless ``readonly`` or not ``create``. One a
    process, and after the fork. ``map_size`` is the most bytes that its file may grow to. Raises
    ``LedgerError``; ``LedgerUnavailable`` if a new one finds no room.
    """
    return Ledger(Store(path, map_size, readonly, create))


class Ledger:
    """Safe to call from several threads. Times are Unix seconds.

    Reads raise ``LedgerError``, writes also its ``LedgerUnavailable``; a call that raises has
    recorded nothing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def ledger_id(self) -> str:
        return self._store.meta.ledger_id

    def accept(
        self, account: str, wake: Wake, *, now: float, limits: dedupe.Limits, coalesce: bool
    ) -> Accepted:
        """Records a wake and the turn it is owed, durably.

        A duplicate owes no new turn: its ``identity`` was seen within ``limits.ttl``, or its
        ``message_id`` belongs to a turn that is queued or running. With ``coalesce``, neither
        does a wake whose account has a queued turn that never began: it joins the oldest one.
        """
        me, identity = self._key(account), self._key(account, "identity", wake.identity)
        message = None
        if wake.message_id is not None:
            message = self._key(account, "message", wake.message_id)
        with self._store.write(grows=True) as tx:
            stats = turns.stats_of(tx, me, account)
            known = dedupe.find(tx, identity, now, limits.ttl)
            if known is not None:
                accepted = Accepted(known.turn, duplicate=True)
            else:
                accepted = self._owing(tx, account, message, now, coalesce)
                stats = dedupe.remember(tx, me, stats, identity, accepted.turn, now)
            stats = dedupe.forget(tx, me, stats, now, limits)
            counts = stats.counts
            if accepted.duplicate:
                counts = replace(counts, duplicates=counts.duplicates + 1)
            else:
                counts = replace(counts, accepted=counts.accepted + 1, queued=counts.queued + 1)
            turns.count(tx, me, stats, counts)
            if known is None and message is not None:
                turns.take_over(tx, self._key, message, accepted.turn, now)
            swept = tx.get(Table.TURNS, pack_number(accepted.turn)) is None
        return replace(accepted, turn=0) if swept else accepted

    def _owing(
        self, tx: Transaction, account: str, message: bytes | None, now: float, coalesce: bool
    ) -> Accepted:
        """The turn of a delivery that is new; a duplicate if that was there before."""
        me = self._key(account)
        if message is not None and (open_turn := tx.get(Table.MESSAGES, message)) is not None:
            return Accepted(unpack_number(open_turn), duplicate=True)
        joined = turns.not_started(tx, me) if coalesce else None
        turn = joined if joined is not None else turns.add(tx, me, account, "wake", now).id
        if message is not None:
            dedupe.open_message(tx, pack_number(turn), message)
        return Accepted(turn, duplicate=joined is not None)

    def owe(self, account: str, source: str, *, now: float) -> Turn:
        """Owes a turn to something else than a wake: ``source`` says what."""
        me = self._key(account)
        with self._store.write(grows=True) as tx:
            stats = turns.stats_of(tx, me, account)
            counts = stats.counts
            counts = replace(counts, asked=counts.asked + 1, queued=counts.queued + 1)
            turns.count(tx, me, stats, counts)
            return turns.add(tx, me, account, source, now)

    def owed(self, after: int = 0) -> list[Turn]:
        """Queued turns with an id above ``after``, in the order of their ids."""
        with self._store.read() as tx:
            return in_phase(tx, QUEUED, after)

    def running(self) -> list[Turn]:
        with self._store.read() as tx:
            return in_phase(tx, RUNNING, 0)

    def get(self, turn: int) -> Turn:
        with self._store.read() as tx:
            return turn_of(tx, turn)

    def claim(self, turn: int, *, now: float) -> Turn:
        """The next attempt begins. Raises ``IllegalMove`` unless the turn is queued."""
        with self._store.write() as tx:
            return turns.move(tx, self._key, turn, Event.CLAIM, now, "")

    def remember(self, turn: int, handle: str) -> Turn:
        """Keeps what finds the running attempt's run again. Raises ``LedgerError`` unless the
        turn is running.
        """
        with self._store.write() as tx:
            before = turn_of(tx, turn)
            if before.state is not State.RUNNING:
                raise LedgerError(f"turn {turn} is {before.state}: it has no run to remember")
            kept = replace(before, handle=handle)
            tx.set(Table.TURNS, pack_number(turn), dump_turn(kept))
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
        with self._store.write() as tx:
            moved = turns.move(tx, self._key, turn, event, now, reason)
            if lane is not None:
                self._put_lane(tx, *lane)
            return moved

    def lane_health(self) -> dict[str, LaneHealth]:
        with self._store.read() as tx:
            return dict(load_lane(data) for _, data in tx.scan(Table.LANES))

    def set_lane_health(self, lane: str, health: LaneHealth) -> None:
        with self._store.write() as tx:
            self._put_lane(tx, lane, health)

    def _put_lane(self, tx: Transaction, lane: str, health: LaneHealth) -> None:
        tx.set(Table.LANES, self._key("", "lane", lane), dump_lane(lane, health))

    def counts(self) -> dict[str, Counts]:
        """By account, since the ledger began: sweeping does not lower them."""
        with self._store.read() as tx:
            stats = [load_stats(data) for _, data in tx.scan(Table.ACCOUNTS)]
        return {stats.account: stats.counts for stats in stats}

    def latest(self) -> dict[str, queries.Latest]:
        """By account, what happened last."""
        with self._store.read() as tx:
            stats = [load_stats(data) for _, data in tx.scan(Table.ACCOUNTS)]
            return {t.account: queries.latest(tx, self._key(t.account), t) for t in stats}

    def recent(self, account: str | None = None, limit: int = 50) -> list[Turn]:
        """The turns owed last, newest first, in any state."""
        with self._store.read() as tx:
            if account is None:
                return [load_turn(data) for _, data in islice(tx.last(Table.TURNS), limit)]
            keys = tx.scan(Table.TURN_INDEX, self._key(account))
            ids = heapq.nlargest(limit, (parse_turn_key(key)[1] for key, _ in keys))
            return [turn_of(tx, turn) for turn in ids]

    def sweep(self, *, now: float, keep: int, keep_for: float, limit: int = 200) -> list[Turn]:
        """Removes ended turns beyond the newest ``keep`` of their account or ended more than
        ``keep_for`` seconds ago: at most ``limit``, oldest end first. Returns them.
        """
        with self._store.read() as tx:
            if next(excess(tx, now, keep, keep_for), None) is None:
                return []  # the usual case must not wait for the write lock
        with self._store.write() as tx:
            ids = [turn for _, turn in islice(excess(tx, now, keep, keep_for), limit)]
            return [turns.sweep(tx, self._key, turn) for turn in ids]

    def relieve(self, *, now: float, limit: int = 200) -> list[Turn]:
        """The same where the ledger is crowded: the oldest ended turns, but for those that somebody
        may still retry, and what was seen more than an hour ago. Returns the turns.
        """
        with self._store.write() as tx:
            for me, data in list(tx.scan(Table.ACCOUNTS)):
                stats = dedupe.forget(tx, me, load_stats(data), now, _CROWDED, limit)
                tx.set(Table.ACCOUNTS, me, dump_stats(stats))
            ended = (turn_of(tx, turn) for _, turn in excess(tx, now, 0, 0.0))
            answered = (turn.id for turn in ended if turn.state not in UNANSWERED)
            return [turns.sweep(tx, self._key, turn) for turn in list(islice(answered, limit))]

    @property
    def current(self) -> bool:
        """Whether what is open here is what the folder has: it was not removed or replaced."""
        return self._store.current

    def full(self) -> bool:
        """Whether a new wake is refused for want of room."""
        with self._store.read() as tx:
            return self._store.full(tx)

    def held(self) -> bool:
        """Whether it is refused since the process that writes is stopped."""
        return self._store.stopped_writer() is not None

    def crowded(self) -> bool:
        """Whether it soon will be."""
        with self._store.read() as tx:
            return self._store.full(tx, _SOON)

    def verify(self) -> list[str]:
        """What contradicts itself, in words; nothing if the ledger is sound."""
        with self._store.read() as tx:
            return list(contradictions(tx, self._key))

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
