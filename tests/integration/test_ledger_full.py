"""A ledger that is full refuses new wakes, and does all that it owes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup.config.model import Dedupe
from raftsup.ledger import Ledger, LedgerUnavailable, open_ledger
from raftsup.turn import Event
from raftsup.wake import Wake

NOW = 1_800_000_000.0
#: As long as one that a program's last words made, and beyond what is kept of it.
REASON = "x" * 2000


def accept(ledger: Ledger, account: str = "a", now: float = NOW) -> int:
    wake = Wake(os.urandom(16).hex(), os.urandom(16).hex())
    return ledger.accept(account, wake, now=now, limits=Dedupe(), coalesce=False).turn


def fill(ledger: Ledger) -> int:
    count = 0
    with pytest.raises(LedgerUnavailable, match="the ledger is full"):
        while True:
            accept(ledger, "ab"[count % 2])
            count += 1
    return count


@pytest.fixture(params=[1 << 20, 1 << 22])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger", request.param)
    yield opened
    assert opened.verify() == []
    opened.close()


@pytest.mark.parametrize("end", [Event.SUCCEED, Event.FAIL])
def test_each_turn_that_is_owed_can_run_and_end(ledger: Ledger, end: Event) -> None:
    assert not ledger.full() and not ledger.crowded()
    assert fill(ledger) > 100
    assert ledger.full() and ledger.crowded()
    for turn in ledger.owed():
        for event in (Event.RETRY, Event.RETRY, end):
            ledger.claim(turn.id, now=NOW + 1)
            ledger.remember(turn.id, "openclaw:" + "h" * 200)
            ledger.settle(turn.id, event, now=NOW + 2, reason=REASON)
    assert len(ledger.get(1).reason) <= 500


def test_what_has_ended_makes_room_for_new_wakes(ledger: Ledger) -> None:
    fill(ledger)
    for turn in ledger.owed():
        ledger.claim(turn.id, now=NOW + 1)
        ledger.settle(turn.id, Event.SUCCEED, now=NOW + 2)
    rounds = 0
    while ledger.crowded() and ledger.relieve(now=NOW + 7200, limit=50):
        rounds += 1
    assert not ledger.full()
    accept(ledger, now=NOW + 7200)


def test_a_failed_turn_is_kept_for_who_may_retry_it(ledger: Ledger) -> None:
    first, second = accept(ledger), accept(ledger)
    for turn, event in ((first, Event.FAIL), (second, Event.SUCCEED)):
        ledger.claim(turn, now=NOW)
        ledger.settle(turn, event, now=NOW)
    assert [turn.id for turn in ledger.relieve(now=NOW)] == [second]
    assert ledger.get(first).id == first


def test_what_was_seen_an_hour_ago_is_forgotten_only_where_it_is_crowded(ledger: Ledger) -> None:
    wake = Wake("the-delivery", None)

    def again(now: float) -> bool:
        told = ledger.accept("a", wake, now=now, limits=Dedupe(), coalesce=False)
        return told.duplicate

    assert not again(NOW)
    assert again(NOW + 3700)
    ledger.relieve(now=NOW + 1800)
    assert again(NOW + 3700)
    ledger.relieve(now=NOW + 3700)
    assert not again(NOW + 3700)
