"""The ledger's rules, on a real LMDB environment."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftsup.ledger import (
    Accepted,
    Counts,
    Ledger,
    LedgerError,
    open_ledger,
)
from raftsup.turn import Event, IllegalMove, LaneHealth, State
from tests.integration.ledger_calls import DAY, NOW, accept, run


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger", 1 << 24)
    yield opened
    assert opened.verify() == []
    opened.close()


def test_a_new_wake_owes_one_turn(ledger: Ledger) -> None:
    assert accept(ledger, "event_1", "m1") == Accepted(1, False)
    (turn,) = ledger.owed()
    assert (turn.id, turn.account, turn.state, turn.owed_at) == (1, "support", State.QUEUED, NOW)
    assert ledger.counts() == {"support": Counts(accepted=1, queued=1)}


def test_a_delivery_seen_within_its_time_is_a_duplicate(ledger: Ledger) -> None:
    accept(ledger, "event_1")
    run(ledger, 1)
    assert accept(ledger, "event_1", now=NOW + DAY - 1) == Accepted(1, True)
    assert ledger.owed() == []


def test_a_duplicate_does_not_prolong_the_memory_of_its_delivery(ledger: Ledger) -> None:
    accept(ledger, "event_1")
    accept(ledger, "event_1", now=NOW + DAY - 1)
    assert accept(ledger, "event_1", now=NOW + DAY) == Accepted(2, False)


def test_an_expired_entry_that_is_still_there_does_not_count(ledger: Ledger) -> None:
    for n in range(9):
        accept(ledger, f"event_{n}")
    # Expiry removes four an accept, so the ninth is still there when it comes again.
    assert accept(ledger, "event_8", now=NOW + DAY) == Accepted(10, False)


def test_a_message_is_a_duplicate_while_its_turn_is_queued_or_running(ledger: Ledger) -> None:
    accept(ledger, "event_1", "m1")
    assert accept(ledger, "event_2", "m1") == Accepted(1, True)
    ledger.claim(1, now=NOW)
    assert accept(ledger, "event_3", "m1") == Accepted(1, True)
    ledger.settle(1, Event.RETRY, now=NOW)
    assert accept(ledger, "event_4", "m1") == Accepted(1, True)


@pytest.mark.parametrize("end", [Event.SUCCEED, Event.FAIL, Event.TIME_OUT, Event.CANCEL])
def test_a_message_whose_turn_ended_owes_a_new_one(ledger: Ledger, end: Event) -> None:
    accept(ledger, "event_1", "m1")
    run(ledger, 1, end)
    assert accept(ledger, "event_2", "m1") == Accepted(2, False)


def test_a_duplicate_by_message_is_remembered_by_its_delivery(ledger: Ledger) -> None:
    accept(ledger, "event_1", "m1")
    accept(ledger, "event_2", "m1")
    run(ledger, 1)
    assert accept(ledger, "event_2", "m1") == Accepted(1, True)


def test_accounts_share_no_identity_and_no_message(ledger: Ledger) -> None:
    accept(ledger, "event_1", "m1", account="a")
    assert accept(ledger, "event_1", "m1", account="b") == Accepted(2, False)
    assert accept(ledger, "event_2", "m2", account="b", coalesce=True).turn == 2


def test_an_identity_is_not_taken_for_a_message_id(ledger: Ledger) -> None:
    accept(ledger, "same", None)
    assert accept(ledger, "other", "same") == Accepted(2, False)


def test_coalescing_joins_the_oldest_queued_turn(ledger: Ledger) -> None:
    accept(ledger, "event_1", "m1")
    accept(ledger, "event_2", "m2")
    assert accept(ledger, "event_3", "m3", coalesce=True) == Accepted(1, True)
    ledger.claim(1, now=NOW)
    # Joined for good: as a delivery, and as a message of that turn.
    assert accept(ledger, "event_3", None) == Accepted(1, True)
    assert accept(ledger, "event_4", "m3") == Accepted(1, True)


def test_coalescing_does_not_join_a_running_turn(ledger: Ledger) -> None:
    accept(ledger, "event_1", "m1")
    ledger.claim(1, now=NOW)
    assert accept(ledger, "event_2", "m2", coalesce=True) == Accepted(2, False)


def test_the_oldest_deliveries_beyond_the_cap_are_forgotten(ledger: Ledger) -> None:
    for n in range(4):
        accept(ledger, f"event_{n}", most=3)
    assert accept(ledger, "event_1", most=3) == Accepted(2, True)
    assert accept(ledger, "event_0", most=3) == Accepted(5, False)


def test_a_lowered_cap_is_reached_a_few_entries_an_accept(ledger: Ledger) -> None:
    for n in range(20):
        accept(ledger, f"event_{n}")
    accept(ledger, "new", most=5)  # 21 entries, four go
    assert accept(ledger, "event_19", most=100) == Accepted(20, True)
    assert accept(ledger, "event_4", most=100) == Accepted(5, True)
    assert accept(ledger, "event_3", most=100) == Accepted(22, False)


def test_one_accounts_flood_does_not_make_another_forget(ledger: Ledger) -> None:
    accept(ledger, "event_1", account="quiet", most=3)
    for n in range(10):
        accept(ledger, f"event_{n}", account="loud", most=3)
    assert accept(ledger, "event_1", account="quiet", most=3) == Accepted(1, True)


def test_a_clock_set_back_a_little_forgets_nothing(ledger: Ledger) -> None:
    accept(ledger, "event_1")
    assert accept(ledger, "event_1", now=NOW - 3600) == Accepted(1, True)


def test_an_entry_of_a_clock_far_ahead_does_not_stand_for_years(ledger: Ledger) -> None:
    accept(ledger, "event_1", now=NOW + 1000 * DAY)
    assert accept(ledger, "event_1") == Accepted(2, False)


def test_a_duplicate_of_a_swept_turn_belongs_to_turn_0(ledger: Ledger) -> None:
    accept(ledger, "event_1")
    run(ledger, 1)
    ledger.sweep(now=NOW, keep=0, keep_for=DAY)
    assert accept(ledger, "event_1") == Accepted(0, True)


def test_turn_ids_are_never_used_again(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    accept(ledger, "event_1")
    run(ledger, 1)
    ledger.sweep(now=NOW, keep=0, keep_for=DAY)
    ledger.close()
    assert accept(open_ledger(tmp_path / "ledger"), "event_2") == Accepted(2, False)


def test_a_turn_goes_through_its_life_in_the_ledger(ledger: Ledger) -> None:
    accept(ledger, "event_1")
    assert ledger.claim(1, now=NOW + 1).attempt == 1
    assert [turn.id for turn in ledger.running()] == [1]
    assert ledger.owed() == []
    ledger.settle(1, Event.RETRY, now=NOW + 2, reason="exit 1")
    assert [turn.failures for turn in ledger.owed()] == [1]
    ledger.claim(1, now=NOW + 3)
    ended = ledger.settle(1, Event.TIME_OUT, now=NOW + 4, reason="overran")
    assert ended == ledger.get(1)
    assert (ended.state, ended.attempt, ended.reason) == (State.TIMED_OUT, 2, "overran")
    assert ledger.counts()["support"] == Counts(accepted=1, failed=1)
    ledger.settle(1, Event.REOPEN, now=NOW + 5)
    assert ledger.counts()["support"] == Counts(accepted=1, queued=1)


def test_an_illegal_move_changes_nothing(ledger: Ledger) -> None:
    accept(ledger, "event_1")
    with pytest.raises(IllegalMove):
        ledger.settle(1, Event.SUCCEED, now=NOW, lane=("support", LaneHealth(9, NOW)))
    assert ledger.get(1).state is State.QUEUED
    assert ledger.lane_health() == {}


def test_a_lanes_health_is_kept_with_the_end_of_its_turn(ledger: Ledger) -> None:
    accept(ledger, "event_1")
    ledger.claim(1, now=NOW)
    ledger.settle(1, Event.FAIL, now=NOW, lane=("x" * 600, LaneHealth(1, NOW + 1)))
    ledger.set_lane_health("b", LaneHealth(2, NOW))
    assert ledger.lane_health() == {"x" * 600: LaneHealth(1, NOW + 1), "b": LaneHealth(2, NOW)}


def test_a_reason_with_broken_characters_still_ends_the_turn(ledger: Ledger) -> None:
    accept(ledger, "event_1")
    ledger.claim(1, now=NOW)
    assert ledger.settle(1, Event.FAIL, now=NOW, reason="bad \udcff byte").reason == "bad ? byte"


def test_owed_turns_come_in_the_order_of_their_ids_across_accounts(ledger: Ledger) -> None:
    for n in range(12):
        accept(ledger, f"event_{n}", account="cab"[n % 3])
    ledger.claim(5, now=NOW)
    assert [turn.id for turn in ledger.owed(after=3)] == [4, 6, 7, 8, 9, 10, 11, 12]


def test_recent_turns_come_newest_first_in_any_state(ledger: Ledger) -> None:
    for n in range(6):
        accept(ledger, f"event_{n}", account="ab"[n % 2])
    run(ledger, 1)
    ledger.claim(3, now=NOW)
    assert [turn.id for turn in ledger.recent(limit=4)] == [6, 5, 4, 3]
    assert [turn.id for turn in ledger.recent("a")] == [5, 3, 1]
    assert ledger.recent("nobody") == []


def test_sweeping_keeps_the_newest_of_each_account(ledger: Ledger) -> None:
    for n in range(8):
        accept(ledger, f"event_{n}", account="ab"[n == 7])
    for turn in (3, 1, 2, 4, 5, 8):
        run(ledger, turn, now=NOW + 10 - turn)
    assert [turn.id for turn in ledger.sweep(now=NOW, keep=3, keep_for=DAY)] == [5, 4]
    assert {turn.id for turn in ledger.recent()} == {1, 2, 3, 6, 7, 8}
    assert ledger.counts()["a"] == Counts(accepted=7, queued=2, done=5)
    with pytest.raises(LedgerError, match="no turn 4"):
        ledger.get(4)


def test_sweeping_removes_what_ended_too_long_ago_a_bounded_number(ledger: Ledger) -> None:
    for n in range(6):
        accept(ledger, f"event_{n}", account="ab"[n % 2])
        run(ledger, n + 1, now=NOW + n)
    late: dict[str, Any] = {"now": NOW + DAY + 4, "keep": 100, "keep_for": DAY}
    assert [turn.id for turn in ledger.sweep(**late, limit=3)] == [1, 2, 3]
    assert [turn.id for turn in ledger.sweep(**late, limit=3)] == [4]
    assert ledger.sweep(**late) == []


def test_accepts_from_four_threads_at_once_lose_nothing(ledger: Ledger) -> None:
    results: list[Accepted] = []

    def work(thread: int) -> None:
        for n in range(50):
            results.append(accept(ledger, f"{thread}-{n}", f"m{n}"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.turn for r in results if not r.duplicate) == list(range(1, 51))
    assert ledger.counts()["support"] == Counts(accepted=50, duplicates=150, queued=50)


def test_a_backup_is_one_private_file_that_is_a_ledger_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    accept(ledger, "event_1", "m1")
    file = tmp_path / "copy" / "data.mdb"
    file.parent.mkdir()
    ledger.backup(file)
    assert [p.name for p in file.parent.iterdir()] == ["data.mdb"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    copy = open_ledger(file.parent)
    assert copy.verify() == []
    assert accept(copy, "event_2", "m1") == Accepted(1, True)
    copy.close()


def test_a_backup_overwrites_nothing(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("mine")
    with pytest.raises(LedgerError, match="File exists"):
        ledger.backup(file)
    assert file.read_text() == "mine"
    with pytest.raises(LedgerError, match="No such file"):
        ledger.backup(tmp_path / "nowhere" / "file")


def test_coalescing_joins_no_turn_that_has_begun_before(ledger: Ledger) -> None:
    accept(ledger, "event_1", "m1")
    ledger.claim(1, now=NOW)
    ledger.settle(1, Event.RETRY, now=NOW)
    assert accept(ledger, "event_2", "m2", coalesce=True) == Accepted(2, False)
    assert accept(ledger, "event_3", "m3", coalesce=True) == Accepted(2, True)


def test_a_turn_that_is_owed_again_is_about_its_messages_again(ledger: Ledger) -> None:
    accept(ledger, "event_1", "m1")
    ledger.claim(1, now=NOW)
    ledger.settle(1, Event.FAIL, now=NOW)
    ledger.settle(1, Event.REOPEN, now=NOW)
    assert accept(ledger, "event_2", "m1") == Accepted(1, True)
    assert ledger.verify() == []


def test_a_message_that_is_owed_to_another_turn_since_stays_with_it(ledger: Ledger) -> None:
    accept(ledger, "event_1", "m1")
    ledger.settle(1, Event.CANCEL, now=NOW)
    assert accept(ledger, "event_2", "m1") == Accepted(2, False)
    ledger.settle(1, Event.REOPEN, now=NOW)
    assert accept(ledger, "event_3", "m1") == Accepted(2, True)
    ledger.settle(1, Event.CANCEL, now=NOW)
    assert accept(ledger, "event_4", "m1") == Accepted(2, True)
    assert ledger.verify() == []
