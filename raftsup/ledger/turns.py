"""The records of turns, their index and their account's counts: they change together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from raftsup.ledger import dedupe
from raftsup.ledger.queries import turn_of
from raftsup.ledger.schema import (
    LAST_TURN,
    OVER,
    QUEUED,
    AccountStats,
    Counts,
    Table,
    dump_stats,
    dump_turn,
    load_stats,
    pack_number,
    parse_turn_key,
    turn_key,
    unpack_number,
)
from raftsup.ledger.transaction import Transaction
from raftsup.turn import ENDED, UNANSWERED, Event, Turn, advance

#: Of a reason, in bytes.
_LONGEST_REASON = 500
#: The key of an account, by its id.
AccountKey = Callable[[str], bytes]


def stats_of(tx: Transaction, me: bytes, account: str) -> AccountStats:
    """What is counted of ``account``, whose key is ``me``."""
    data = tx.get(Table.ACCOUNTS, me)
    return AccountStats(account) if data is None else load_stats(data)


def count(tx: Transaction, me: bytes, stats: AccountStats, counts: Counts) -> None:
    """``counts`` hold from now on."""
    tx.set(Table.ACCOUNTS, me, dump_stats(replace(stats, counts=counts)))


def add(tx: Transaction, me: bytes, account: str, source: str, now: float) -> Turn:
    """A new queued turn. The caller counts it."""
    number = unpack_number(tx.get(Table.META, LAST_TURN) or pack_number(0)) + 1
    tx.set(Table.META, LAST_TURN, pack_number(number))
    turn = Turn(number, account, source=source, owed_at=now)
    tx.add(Table.TURNS, pack_number(number), dump_turn(turn))
    tx.add(Table.TURN_INDEX, turn_key(me, turn))
    return turn


def not_started(tx: Transaction, me: bytes) -> int | None:
    """The account's oldest queued turn that never began. One that waits for its next attempt may
    be about to give up: what joins it would be lost with it.
    """
    for key, _ in tx.scan(Table.TURN_INDEX, me + QUEUED):
        turn = parse_turn_key(key)[1]
        if turn_of(tx, turn).attempt == 0:
            return turn
    return None


def move(
    tx: Transaction, key: AccountKey, turn: int, event: Event, now: float, reason: str
) -> Turn:
    """Raises ``IllegalMove``, and ``LedgerError`` where there is no such turn."""
    # A reason may quote what a program printed, and JSON takes no broken characters; the ledger's
    # reserve is measured for reasons of this length.
    clean = reason.encode("utf-8", "replace")[:_LONGEST_REASON].decode(errors="ignore")
    before = turn_of(tx, turn)
    moved = advance(before, event, now, clean)
    me, number = key(before.account), pack_number(turn)
    tx.set(Table.TURNS, number, dump_turn(moved))
    tx.remove(Table.TURN_INDEX, turn_key(me, before))
    tx.add(Table.TURN_INDEX, turn_key(me, moved))
    stats = stats_of(tx, me, before.account)
    count(tx, me, stats, stats.counts.shifted(before.state, -1).shifted(moved.state, 1))
    if before.state in ENDED:
        if event is Event.REOPEN:
            dedupe.reopen_messages(tx, number)
    elif moved.state in ENDED:
        dedupe.close_messages(tx, number)
    return moved


def take_over(tx: Transaction, key: AccountKey, message: bytes, turn: int, now: float) -> None:
    """``message`` has come again and is owed to ``turn`` now: a failed turn that was about nothing
    else needs no retry.
    """
    account = turn_of(tx, turn).account
    me = key(account)
    stats = stats_of(tx, me, account)
    if stats.counts.failed == stats.swept.failed:
        return  # the usual case looks at none
    for place, _ in list(tx.scan(Table.TURN_INDEX, me + OVER)):
        old = parse_turn_key(place)[1]
        if not dedupe.is_about(tx, pack_number(old), message):
            continue
        if (failed := turn_of(tx, old)).state in UNANSWERED:
            dedupe.detach(tx, pack_number(old), message)
            if not dedupe.messages_of(tx, pack_number(old)):
                reason = f"its wake came again and is queued as turn {turn}; {failed.reason}"
                move(tx, key, old, Event.DISMISS, now, reason)


def sweep(tx: Transaction, key: AccountKey, turn: int) -> Turn:
    """Remove an ended turn; what was counted of it stays."""
    gone = turn_of(tx, turn)
    me = key(gone.account)
    stats = stats_of(tx, me, gone.account)
    tx.remove(Table.TURNS, pack_number(turn))
    tx.remove(Table.TURN_INDEX, turn_key(me, gone))
    dedupe.forget_messages(tx, pack_number(turn))
    swept = stats.swept.shifted(gone.state, 1)
    tx.set(Table.ACCOUNTS, me, dump_stats(replace(stats, swept=swept)))
    return gone
