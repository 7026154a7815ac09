"""The records of turns, their places and their account's counts: they change together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from raftsup.ledger import dedupe
from raftsup.ledger.queries import turn_of
from raftsup.ledger.schema import (
    LAST_TURN,
    QUEUED,
    AccountStats,
    Counts,
    Table,
    dump_tally,
    dump_turn,
    load_tally,
    pack_number,
    parse_place,
    place,
    unpack_number,
)
from raftsup.ledger.transaction import View
from raftsup.turn import ENDED, Event, Turn, advance

#: The key of an account, by its id.
AccountKey = Callable[[str], bytes]


def tally_of(view: View, me: bytes, account: str) -> AccountStats:
    """What is counted of ``account``, whose key is ``me``."""
    data = view.get(Table.ACCOUNTS, me)
    return AccountStats(account) if data is None else load_tally(data)


def count(view: View, me: bytes, tally: AccountStats, counts: Counts) -> None:
    """``counts`` hold from now on."""
    view.set(Table.ACCOUNTS, me, dump_tally(replace(tally, counts=counts)))


def add(view: View, me: bytes, account: str, source: str, now: float) -> Turn:
    """A new queued turn. The caller counts it."""
    number = unpack_number(view.get(Table.META, LAST_TURN) or pack_number(0)) + 1
    view.set(Table.META, LAST_TURN, pack_number(number))
    turn = Turn(number, account, source=source, owed_at=now)
    view.add(Table.TURNS, pack_number(number), dump_turn(turn))
    view.add(Table.TURN_INDEX, place(me, turn))
    return turn


def not_started(view: View, me: bytes) -> int | None:
    """The account's oldest queued turn that never began. One that waits for its next attempt may
    be about to give up: what joins it would be lost with it.
    """
    for key, _ in view.scan(Table.TURN_INDEX, me + QUEUED):
        turn = parse_place(key)[1]
        if turn_of(view, turn).attempt == 0:
            return turn
    return None


def move(view: View, key: AccountKey, turn: int, event: Event, now: float, reason: str) -> Turn:
    """Raises ``IllegalMove``, and ``LedgerError`` where there is no such turn."""
    # A reason may quote what a program printed, and JSON takes no broken characters.
    clean = reason.encode("utf-8", "replace").decode()
    before = turn_of(view, turn)
    moved = advance(before, event, now, clean)
    me, number = key(before.account), pack_number(turn)
    view.set(Table.TURNS, number, dump_turn(moved))
    view.remove(Table.TURN_INDEX, place(me, before))
    view.add(Table.TURN_INDEX, place(me, moved))
    tally = tally_of(view, me, before.account)
    count(view, me, tally, tally.counts.shifted(before.state, -1).shifted(moved.state, 1))
    if moved.state in ENDED:
        dedupe.close_messages(view, number)
    elif event is Event.REOPEN:
        dedupe.reopen_messages(view, number)
    return moved


def sweep(view: View, key: AccountKey, turn: int) -> Turn:
    """Remove an ended turn; what was counted of it stays."""
    gone = turn_of(view, turn)
    me = key(gone.account)
    tally = tally_of(view, me, gone.account)
    view.remove(Table.TURNS, pack_number(turn))
    view.remove(Table.TURN_INDEX, place(me, gone))
    dedupe.forget_messages(view, pack_number(turn))
    swept = tally.swept.shifted(gone.state, 1)
    view.set(Table.ACCOUNTS, me, dump_tally(replace(tally, swept=swept)))
    return gone
