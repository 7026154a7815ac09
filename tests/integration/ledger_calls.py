"""Calls of a ledger that tests make often."""

from __future__ import annotations

from raftsup.config.model import Dedupe
from raftsup.ledger import (
    Accepted,
    Ledger,
)
from raftsup.turn import Event
from raftsup.wake import Wake

DAY = 86400.0
NOW = 1_800_000_000.0


def accept(
    ledger: Ledger,
    identity: str,
    message: str | None = None,
    *,
    account: str = "support",
    now: float = NOW,
    ttl: float = DAY,
    most: int = 10_000,
    coalesce: bool = False,
) -> Accepted:
    return ledger.accept(
        account,
        Wake(identity, message),
        now=now,
        limits=Dedupe(ttl=ttl, max_entries=most),
        coalesce=coalesce,
    )


def run(ledger: Ledger, turn: int, event: Event = Event.SUCCEED, now: float = NOW) -> None:
    ledger.claim(turn, now=now)
    ledger.settle(turn, event, now=now)
