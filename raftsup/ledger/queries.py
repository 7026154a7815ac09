"""Reads that need an index: a turn, the turns of a phase, the last of an account, what to sweep."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from raftsup.ledger.errors import LedgerError
from raftsup.ledger.schema import (
    OVER,
    RUNNING,
    AccountStats,
    Table,
    load_stats,
    load_turn,
    pack_number,
    parse_turn_key,
    turn_key_after,
    unpack_seen,
)
from raftsup.ledger.transaction import Transaction
from raftsup.turn import UNANSWERED, Turn


@dataclass(frozen=True)
class Latest:
    """Of one account."""

    #: When its last new wake came, in Unix seconds; None: none, or forgotten by now.
    wake_at: float | None = None
    #: The turn that runs, else the one that ended last; None: no record of one is left.
    turn: Turn | None = None
    #: The turns of wakes that failed and are neither retried nor dismissed, oldest end first.
    unanswered: tuple[Turn, ...] = ()


def latest(tx: Transaction, account_key: bytes, stats: AccountStats) -> Latest:
    return Latest(
        _wake_at(tx, account_key, stats),
        _turn(tx, account_key),
        tuple(turn for turn in _failed(tx, account_key, stats) if turn.source == "wake"),
    )


def _wake_at(tx: Transaction, account_key: bytes, stats: AccountStats) -> float | None:
    # Ranks are given in the order of arrival; the last may have been forgotten with its ttl.
    newest = account_key + pack_number(max(stats.sequence - 1, 0))
    identity = tx.get(Table.SEEN_ORDER, newest)
    data = tx.get(Table.SEEN, identity) if identity is not None else None
    return unpack_seen(data).at if data is not None else None


def _turn(tx: Transaction, account_key: bytes) -> Turn | None:
    for phase in (RUNNING, OVER):
        # Running ones stand by their id, ended ones by their end.
        if (key := tx.final(Table.TURN_INDEX, account_key + phase)) is not None:
            return turn_of(tx, parse_turn_key(key)[1])
    return None


def _failed(tx: Transaction, account_key: bytes, stats: AccountStats) -> Iterator[Turn]:
    left = stats.counts.failed - stats.swept.failed
    for key, _ in tx.scan(Table.TURN_INDEX, account_key + OVER):
        if left <= 0:
            return  # the usual case looks at none
        turn = turn_of(tx, parse_turn_key(key)[1])
        if turn.state in UNANSWERED:
            left -= 1
            yield turn


def turn_of(tx: Transaction, turn: int) -> Turn:
    data = tx.get(Table.TURNS, pack_number(turn)) if 0 <= turn < 1 << 64 else None
    if data is None:
        raise LedgerError(f"there is no turn {turn}: it never was, or it ended and was swept away")
    return load_turn(data)


def in_phase(tx: Transaction, phase: bytes, after: int) -> list[Turn]:
    """The queued or running turns with an id above ``after``, in the order of their ids."""
    ids = sorted(
        parse_turn_key(key)[1]
        for me, _ in tx.scan(Table.ACCOUNTS)
        for key, _ in tx.scan(Table.TURN_INDEX, me + phase, turn_key_after(me, phase, after))
    )
    return [turn_of(tx, turn) for turn in ids]


def excess(tx: Transaction, now: float, keep: int, keep_for: float) -> Iterator[tuple[float, int]]:
    """Ended turns that are not to be kept, as (end, turn), oldest end first."""

    def of_account(me: bytes, stats: AccountStats) -> Iterator[tuple[float, int]]:
        beyond = stats.counts.ended - stats.swept.ended - keep
        for rank, (key, _) in enumerate(tx.scan(Table.TURN_INDEX, me + OVER)):
            end, turn = parse_turn_key(key)
            if rank >= beyond and now - end <= keep_for:
                return
            yield end, turn

    return heapq.merge(
        *(of_account(me, load_stats(data)) for me, data in list(tx.scan(Table.ACCOUNTS)))
    )
