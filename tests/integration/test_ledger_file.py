"""The ledger's file: private, of one format, within its map, and what verify finds in it."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path
from typing import Any

import lmdb
import orjson
import pytest

from raftsup.ledger import (
    Accepted,
    Counts,
    LedgerError,
    LedgerUnavailable,
    open_ledger,
)
from raftsup.ledger.integrity import torn_at_birth
from raftsup.turn import Event
from tests.integration.ledger_calls import DAY, NOW, accept


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
    assert modes == {"ledger": 0o700, "data.mdb": 0o600, "lock.mdb": 0o600,
                     "writer.lock": 0o600}  # fmt: skip


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
        record = orjson.loads(txn.get(b"ledger") or b"")
        txn.put(b"ledger", orjson.dumps(record | {"v": 2}))
    env.close()
    with pytest.raises(LedgerError, match="format version 2, this raftsup reads version 1"):
        open_ledger(path)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"garbage" * 4096)
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        open_ledger(tmp_path)


@pytest.mark.parametrize("whole", [0, 1])
@pytest.mark.parametrize("pages", [2, 12])
def test_a_file_that_was_torn_at_its_birth_is_made_anew_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pages: int, whole: int
) -> None:
    page, file = resource.getpagesize(), tmp_path / "data.mdb"
    lmdb.open(str(tmp_path)).close()
    first = file.read_bytes()[:page] if whole and pages == 2 else b""
    file.write_bytes(first.ljust(pages * page, b"\0"))
    ledger = open_ledger(tmp_path)
    assert "action=ledger.torn" in caplog.text
    assert accept(ledger, "event_1") == Accepted(1, False)
    ledger.close()


def test_what_is_cut_short_or_no_ledger_is_not_taken_for_torn_at_its_birth(tmp_path: Path) -> None:
    file = tmp_path / "data.mdb"
    ledger = open_ledger(tmp_path)
    accept(ledger, "event_1")
    ledger.close()
    data = file.read_bytes()
    for length in (len(data), 2 * resource.getpagesize(), resource.getpagesize(), 100, 0):
        file.write_bytes(data[:length])
        assert not torn_at_birth(file)
    file.write_text("no ledger")
    assert not torn_at_birth(file)


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


def damage(path: Path, table: bytes, change: Any) -> list[str]:
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
