"""Finding turns."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from raftsup.ledger.errors import LedgerError
from raftsup.ledger.schema import (
    OVER,
    Table,
    Tally,
    load_tally,
    load_turn,
    pack_number,
    parse_place,
    place_after,
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
        for key, _ in view.scan(Table.PLACES, me + phase, place_after(me, phase, after))
    )
    return [turn_of(view, turn) for turn in ids]


def excess(view: View, now: float, keep: int, keep_for: float) -> Iterator[tuple[float, int]]:
    """Ended turns that are not to be kept, as (end, turn), oldest end first."""

    def of_account(me: bytes, tally: Tally) -> Iterator[tuple[float, int]]:
        beyond = tally.counts.ended - tally.swept.ended - keep
        for rank, (key, _) in enumerate(view.scan(Table.PLACES, me + OVER)):
            end, turn = parse_place(key)
            if rank >= beyond and now - end <= keep_for:
                return
            yield end, turn

    return heapq.merge(
        *(of_account(me, load_tally(data)) for me, data in list(view.scan(Table.ACCOUNTS)))
    )
