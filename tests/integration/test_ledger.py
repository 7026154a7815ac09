"""The ledger's rules, on a real LMDB environment."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import lmdb
import orjson
import pytest

from raftsup.config.model import Dedupe
from raftsup.ledger import (
    Accepted,
    Counts,
    Ledger,
    LedgerError,
    LedgerUnavailable,
    open_ledger,
)
from raftsup.turn import Event, IllegalMove, LaneHealth, State

DAY = 86400.0
NOW = 1_800_000_000.0


@pytest.fixture
def ledger(tmp_path: Path):
    opened = open_ledger(tmp_path / "ledger", 1 << 24)
    yield opened
    assert opened.verify() == []
    opened.close()


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
        identity,
        message,
        now=now,
        dedupe=Dedupe(ttl=ttl, max_entries=most),
        coalesce=coalesce,
    )


def run(ledger: Ledger, turn: int, event: Event = Event.SUCCEED, now: float = NOW) -> None:
    ledger.claim(turn, now=now)
    ledger.settle(turn, event, now=now)


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
    late = {"now": NOW + DAY + 4, "keep": 100, "keep_for": DAY}
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


def test_nothing_off_the_wire_reaches_the_disk_in_clear(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    accept(ledger, "event_SECRETLY", "message_SECRETLY")
    accept(ledger, "event_OTHERWISE", "message_OTHERWISE", coalesce=True)
    ledger.close()
    data = (tmp_path / "ledger" / "data.mdb").read_bytes()
    assert b"support" in data
    assert b"SECRETLY" not in data
    assert b"OTHERWISE" not in data


def test_the_folder_and_its_files_are_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        open_ledger(tmp_path / "ledger").close()
    finally:
        os.umask(old)
    folder = tmp_path / "ledger"
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (folder, *folder.iterdir())}
    assert modes == {"ledger": 0o700, "data.mdb": 0o600, "lock.mdb": 0o600}


def test_the_ledger_keeps_its_id(tmp_path: Path) -> None:
    first = open_ledger(tmp_path / "one")
    other = open_ledger(tmp_path / "two")
    ledger_id = first.ledger_id
    first.close()
    assert open_ledger(tmp_path / "one").ledger_id == ledger_id != other.ledger_id


def test_another_format_version_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    open_ledger(path).close()
    env = lmdb.open(str(path), max_dbs=9)
    meta = env.open_db(b"meta")
    with env.begin(write=True, db=meta) as txn:
        record = orjson.loads(txn.get(b"ledger"))
        txn.put(b"ledger", orjson.dumps(record | {"v": 2}))
    env.close()
    with pytest.raises(LedgerError, match="format version 2, this raftsup reads version 1"):
        open_ledger(path)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"garbage" * 4096)
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        open_ledger(tmp_path)


def test_reading_only_makes_no_ledger_and_changes_none(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger here"):
        open_ledger(tmp_path / "ledger", readonly=True)
    assert list(tmp_path.iterdir()) == []
    ledger = open_ledger(tmp_path / "ledger")
    accept(ledger, "event_1")
    ledger.close()
    reader = open_ledger(tmp_path / "ledger", readonly=True)
    assert [turn.id for turn in reader.owed()] == [1]
    assert reader.verify() == []
    with pytest.raises(LedgerError, match="for reading only"):
        accept(reader, "event_2")
    reader.close()


def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="is closed"):
        ledger.owed()


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


def test_a_full_map_refuses_wakes_and_still_ends_what_is_owed(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger", 1 << 20)
    accepted = 0
    with pytest.raises(LedgerUnavailable, match=r"mapSize") as refused:
        while accepted < 100_000:
            accept(ledger, f"event_{accepted}", f"m{accepted}", most=100)
            accepted += 1
    assert accepted > 100
    assert refused.value.retry_after_ms > 0
    assert ledger.counts()["support"] == Counts(accepted=accepted, queued=accepted)
    assert ledger.verify() == []
    for turn in range(1, accepted + 1):
        ledger.claim(turn, now=NOW)
        ledger.settle(turn, Event.FAIL, now=NOW, reason="a reason of the usual length")
        if turn % 50 == 0:
            ledger.sweep(now=NOW, keep=10, keep_for=DAY)
    assert accept(ledger, "after", "m-after") == Accepted(accepted + 1, False)
    assert ledger.verify() == []
    ledger.close()


def damage(path: Path, table: bytes, change) -> list[str]:
    """What verify says after ``change`` was made to the first entry of ``table``."""
    env = lmdb.open(str(path), max_dbs=9)
    db = env.open_db(table)
    with env.begin(write=True, db=db) as txn:
        cursor = txn.cursor()
        assert cursor.first()
        change(txn, *cursor.item())
    env.close()
    ledger = open_ledger(path)
    found = ledger.verify()
    ledger.close()
    return found


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"places", "is queued and not listed as that"),
        (b"turns", "no turn stands there"),
        (b"seen", "has an order and no record"),
        (b"seen_order", "its order is lost"),
        (b"messages", "listed only by turn"),
        (b"attached", "listed only by message"),
        (b"accounts", "it has turns and no record"),
    ],
)
def test_verify_says_what_is_missing(tmp_path: Path, table: bytes, words: str) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    accept(ledger, "event_1", "m1")
    ledger.close()
    found = damage(tmp_path / "ledger", table, lambda txn, key, value: txn.delete(key))
    assert any(words in line for line in found), found


def test_verify_recounts_the_counters(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    accept(ledger, "event_1", "m1")
    ledger.close()
    found = damage(
        tmp_path / "ledger",
        b"accounts",
        lambda txn, key, value: txn.put(key, value.replace(b'"queued":1', b'"queued":2')),
    )
    assert any("its turns say" in line for line in found), found
    assert any("not the sum" in line for line in found), found


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
