"""Handles of runs that outlive their dispatcher, and turns that no wake owes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from raftsup.config.model import Dedupe
from raftsup.ledger import Accepted, Counts, Ledger, LedgerError, open_ledger
from raftsup.ledger.schema import load_stats, load_turn
from raftsup.turn import TRANSITIONS, Event, State, Turn
from raftsup.wake import Wake

NOW = 1000.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(tmp_path / "ledger", 1 << 24)
    yield ledger
    assert ledger.verify() == []
    ledger.close()


def running(ledger: Ledger) -> int:
    turn = ledger.owe("a", "operator", now=NOW).id
    ledger.claim(turn, now=NOW)
    return turn


def wake(ledger: Ledger, identity: str, message: str | None = None, *, coalesce: bool) -> Accepted:
    wake = Wake(identity, message)
    return ledger.accept("a", wake, now=NOW, limits=Dedupe(), coalesce=coalesce)


def test_a_handle_is_kept_across_a_restart_and_the_last_one_counts(tmp_path: Path) -> None:
    first = open_ledger(tmp_path / "ledger", 1 << 24)
    turn = running(first)
    first.remember(turn, "kind:1")
    assert first.remember(turn, "kind:2").handle == "kind:2"
    first.close()
    second = open_ledger(tmp_path / "ledger", 1 << 24)
    assert [t.handle for t in second.running()] == ["kind:2"]
    second.close()


@pytest.mark.parametrize("event", [e for s, e in TRANSITIONS if s is State.RUNNING])
def test_every_move_of_a_running_turn_clears_its_handle(ledger: Ledger, event: Event) -> None:
    turn = running(ledger)
    ledger.remember(turn, "kind:1")
    assert ledger.settle(turn, event, now=NOW).handle == ""
    assert ledger.get(turn).handle == ""


def test_the_next_attempt_begins_without_a_handle(ledger: Ledger) -> None:
    turn = running(ledger)
    ledger.remember(turn, "kind:1")
    ledger.settle(turn, Event.RETRY, now=NOW)
    assert ledger.claim(turn, now=NOW).handle == ""


@pytest.mark.parametrize("event", [None, Event.INTERRUPT, Event.SUCCEED, Event.CANCEL])
def test_a_turn_that_is_not_running_has_no_run_to_remember(
    ledger: Ledger, event: Event | None
) -> None:
    turn = running(ledger) if event else ledger.owe("a", "operator", now=NOW).id
    if event:
        ledger.settle(turn, event, now=NOW)
    before = ledger.get(turn)
    with pytest.raises(LedgerError, match=f"turn {turn} is {before.state}"):
        ledger.remember(turn, "kind:1")
    assert ledger.get(turn) == before


def test_a_turn_that_is_not_there_has_no_run_to_remember(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="there is no turn 7"):
        ledger.remember(7, "kind:1")


def test_a_turn_that_is_asked_for_is_owed_and_counted_apart_from_wakes(ledger: Ledger) -> None:
    assert wake(ledger, "i", coalesce=False).turn == 1
    turn = ledger.owe("a", "operator", now=NOW)
    assert turn == Turn(2, "a", source="operator", owed_at=NOW)
    assert ledger.owed() == [ledger.get(1), turn]
    assert ledger.counts()["a"] == Counts(accepted=1, asked=1, queued=2)


def test_what_was_asked_for_still_counts_when_its_turn_is_swept(ledger: Ledger) -> None:
    turn = running(ledger)
    ledger.settle(turn, Event.SUCCEED, now=NOW)
    assert [t.id for t in ledger.sweep(now=NOW, keep=0, keep_for=9e9)] == [turn]
    assert ledger.counts()["a"] == Counts(asked=1, done=1)


def test_a_wake_may_join_a_turn_that_was_asked_for_where_wakes_coalesce(ledger: Ledger) -> None:
    turn = ledger.owe("a", "operator", now=NOW)
    assert wake(ledger, "i", "m", coalesce=True) == Accepted(turn.id, duplicate=True)
    assert wake(ledger, "j", "m", coalesce=False) == Accepted(turn.id, duplicate=True)
    assert wake(ledger, "k", coalesce=False) == Accepted(turn.id + 1, duplicate=False)


def test_records_from_before_there_were_handles_are_read() -> None:
    turn = {"v": 1, "id": 1, "account": "a", "state": "running", "attempt": 1}
    assert load_turn(orjson.dumps(turn)) == Turn(1, "a", State.RUNNING, attempt=1)
    counts = {"accepted": 2, "duplicates": 0, "queued": 1, "running": 0, "done": 1, "failed": 0,
              "cancelled": 0}  # fmt: skip
    stats = {"v": 1, "account": "a", "counts": counts, "swept": {}, "seen": 0, "sequence": 0}
    assert load_stats(orjson.dumps(stats)).counts == Counts(accepted=2, queued=1, done=1)
