"""Finding turns, and the last that happened to an account: a few look-ups, however much the ledger
holds.
"""

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
    load_tally,
    load_turn,
    pack_number,
    parse_place,
    place_after,
    unpack_seen,
)
from raftsup.ledger.transaction import View
from raftsup.turn import Turn


def turn_of(view: View, turn: int) -> Turn:
    data = view.get(Table.TURNS, pack_number(turn)) if 0 <= turn < 1 << 64 else None
    if data is None:
        raise LedgerError(f"there is no turn {turn}: it never was, or it ended and was swept away")
    return load_turn(data)


def in_phase(view: View, phase: bytes, after: int) -> list[Turn]:
    """The queued or running turns with an id above ``after``, in the order of their ids."""
    ids = sorted(
        parse_place(key)[1]
        for me, _ in view.scan(Table.ACCOUNTS)
        for key, _ in view.scan(Table.TURN_INDEX, me + phase, place_after(me, phase, after))
    )
    return [turn_of(view, turn) for turn in ids]


def excess(view: View, now: float, keep: int, keep_for: float) -> Iterator[tuple[float, int]]:
    """Ended turns that are not to be kept, as (end, turn), oldest end first."""

    def of_account(me: bytes, tally: AccountStats) -> Iterator[tuple[float, int]]:
        beyond = tally.counts.ended - tally.swept.ended - keep
        for rank, (key, _) in enumerate(view.scan(Table.TURN_INDEX, me + OVER)):
            end, turn = parse_place(key)
            if rank >= beyond and now - end <= keep_for:
                return
            yield end, turn

    return heapq.merge(
        *(of_account(me, load_tally(data)) for me, data in list(view.scan(Table.ACCOUNTS)))
    )


@dataclass(frozen=True)
class Latest:
    """Of one account."""

    #: When its last new wake came, in Unix seconds; None: none, or forgotten by now.
    wake_at: float | None = None
    #: The turn that runs, else the one that ended last; None: no record of one is left.
    turn: Turn | None = None


def latest_of(view: View, account_key: bytes, tally: AccountStats) -> Latest:
    return Latest(_wake_at(view, account_key, tally), _turn(view, account_key))


def _wake_at(view: View, account_key: bytes, tally: AccountStats) -> float | None:
    # Ranks are given in the order of arrival; the last may have been forgotten with its ttl.
    newest = account_key + pack_number(max(tally.sequence - 1, 0))
    identity = view.get(Table.SEEN_ORDER, newest)
    data = view.get(Table.SEEN, identity) if identity is not None else None
    return unpack_seen(data).at if data is not None else None


def _turn(view: View, account_key: bytes) -> Turn | None:
    for phase in (RUNNING, OVER):
        # Running ones stand by their id, ended ones by their end.
        if (key := view.final(Table.TURN_INDEX, account_key + phase)) is not None:
            return turn_of(view, parse_place(key)[1])
    return None
