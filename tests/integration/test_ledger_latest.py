"""What happened last to an account, as the ledger tells it."""

from __future__ import annotations

import os
from pathlib import Path

from raftsup.config.model import Dedupe
from raftsup.ledger import Latest, Ledger, open_ledger
from raftsup.turn import Event
from raftsup.wake import Wake


def wake(ledger: Ledger, account: str, identity: str, now: float) -> int:
    wake = Wake(identity, None)
    return ledger.accept(account, wake, now=now, limits=Dedupe(), coalesce=False).turn


def test_the_last_wake_is_the_newest_that_was_new_and_each_account_has_its_own(
    tmp_path: Path,
) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    assert ledger.latest() == {}
    wake(ledger, "a", "one", 10.0)
    wake(ledger, "b", "two", 20.0)
    wake(ledger, "a", "three", 30.0)
    wake(ledger, "a", "one", 40.0)  # seen before
    assert ledger.latest() == {"a": Latest(30.0, None), "b": Latest(20.0, None)}
    # Beyond its time it is new again, and the last.
    later = Dedupe().ttl + 50
    wake(ledger, "a", "one", later)
    assert ledger.latest()["a"].wake_at == later
    ledger.close()


def test_the_last_turn_is_the_one_that_runs_and_else_the_one_that_ended_last(
    tmp_path: Path,
) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    first, second, third = (wake(ledger, "a", name, 1.0) for name in ("x", "y", "z"))
    wake(ledger, "b", "other", 1.0)

    def last() -> tuple[int, str] | None:
        turn = ledger.latest()["a"].turn
        return None if turn is None else (turn.id, turn.state)

    assert last() is None
    ledger.claim(second, now=2.0)
    assert last() == (second, "running")
    ledger.settle(second, Event.FAIL, now=9.0)
    ledger.claim(first, now=3.0)
    ledger.settle(first, Event.SUCCEED, now=4.0)
    assert last() == (second, "failed")
    ledger.claim(third, now=10.0)
    assert last() == (third, "running")
    ledger.close()


def test_a_failed_turn_waits_until_it_is_retried_dismissed_or_its_wake_comes_again(
    tmp_path: Path,
) -> None:
    ledger = open_ledger(tmp_path / "ledger")

    def wakes(*messages: str, coalesce: bool = False) -> int:
        for message in messages:
            delivery = Wake(os.urandom(8).hex(), message)
            got = ledger.accept("a", delivery, now=1.0, limits=Dedupe(), coalesce=coalesce).turn
        return got

    def waiting() -> list[int]:
        assert ledger.verify() == []
        return [turn.id for turn in ledger.latest()["a"].unanswered]

    def fails(turn: int, event: Event = Event.FAIL) -> None:
        ledger.claim(turn, now=2.0)
        ledger.settle(turn, event, now=3.0, reason="exited with 1")

    first = wakes("m")
    fails(first)
    assert waiting() == [first]
    ledger.settle(first, Event.DISMISS, now=9.0)
    assert (waiting(), ledger.get(first).ended_at) == ([], 3.0)
    ledger.settle(first, Event.REOPEN, now=9.0)
    assert wakes("m") == first, "it is about its message again"
    fails(first, Event.TIME_OUT)
    assert waiting() == [first]
    second = wakes("m")
    assert (waiting(), ledger.get(first).state) == ([], "cancelled")
    assert f"queued as turn {second}; exited with 1" in ledger.get(first).reason
    both = wakes("n", "o", coalesce=True)
    assert both == second, "joined"
    fails(second)
    wakes("n")
    assert waiting() == [second], "nobody has sent the others again yet"
    wakes("o")
    wakes("m")
    assert waiting() == []
    asked = ledger.owe("a", "operator", now=4.0).id
    fails(asked)
    assert waiting() == [], "who asked for it by hand has seen it"
    ledger.close()
