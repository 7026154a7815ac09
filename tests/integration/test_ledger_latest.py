"""What happened last to an account, as the ledger tells it."""

from __future__ import annotations

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
