"""The last that happened to an account: a few look-ups, however much the ledger holds."""

from __future__ import annotations

from dataclasses import dataclass

from raftsup.ledger.lookup import turn_of
from raftsup.ledger.schema import (
    OVER,
    RUNNING,
    Table,
    Tally,
    pack_number,
    parse_place,
    unpack_seen,
)
from raftsup.ledger.transaction import View
from raftsup.turn import Turn


@dataclass(frozen=True)
class Latest:
    """Of one account."""

    #: When its last new wake came, in Unix seconds; None: none, or forgotten by now.
    wake_at: float | None = None
    #: The turn that runs, else the one that ended last; None: no record of one is left.
    turn: Turn | None = None


def find(view: View, account_key: bytes, tally: Tally) -> Latest:
    return Latest(_wake_at(view, account_key, tally), _turn(view, account_key))


def _wake_at(view: View, account_key: bytes, tally: Tally) -> float | None:
    # Ranks are given in the order of arrival; the last may have been forgotten with its ttl.
    newest = account_key + pack_number(max(tally.sequence - 1, 0))
    identity = view.get(Table.SEEN_ORDER, newest)
    data = view.get(Table.SEEN, identity) if identity is not None else None
    return unpack_seen(data).at if data is not None else None


def _turn(view: View, account_key: bytes) -> Turn | None:
    for phase in (RUNNING, OVER):
        # Running ones stand by their id, ended ones by their end.
        if (key := view.final(Table.PLACES, account_key + phase)) is not None:
            return turn_of(view, parse_place(key)[1])
    return None
