"""The ledger among processes: killed, forked, at once, on a full disk, with maps of two sizes."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raftsup.config.model import Dedupe
from raftsup.ledger import Accepted, Ledger, LedgerError, LedgerUnavailable, open_ledger
from raftsup.turn import Event, State
from raftsup.wake import Wake

NOW = 1_800_000_000.0
DEADLINE = 60.0
REPOSITORY = Path(__file__).parents[2]

#: Accepts wakes until it is killed; says each turn once ``accept`` has returned.
ACCEPT_FOR_EVER = """
import sys
from pathlib import Path
from raftsup.config.model import Dedupe
from raftsup.ledger import open_ledger
from raftsup.turn import Event
from raftsup.wake import Wake
ledger, tag, n = open_ledger(Path(sys.argv[1])), sys.argv[2], 0
while True:
    n += 1
    name = f"{tag}-{n}"
    wake = Wake(name, "m" + name)
    got = ledger.accept("support", wake, now=1.8e9, limits=Dedupe(), coalesce=False)
    print(got.turn, name, flush=True)
    if n % 3 == 0:
        ledger.claim(got.turn, now=1.8e9)
        ledger.settle(got.turn, Event.SUCCEED, now=1.8e9)
"""

#: Accepts a number of wakes.
ACCEPT_SOME = """
import sys
from pathlib import Path
from raftsup.config.model import Dedupe
from raftsup.ledger import open_ledger
from raftsup.wake import Wake
ledger = open_ledger(Path(sys.argv[1]), int(sys.argv[4]))
for n in range(int(sys.argv[3])):
    name = f"{sys.argv[2]}-{n}"
    ledger.accept(sys.argv[2], Wake(name, name), now=1.8e9, limits=Dedupe(), coalesce=False)
"""


def start(program: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


def accept(ledger: Ledger, name: str, account: str = "support") -> Accepted:
    wake = Wake(name, "m" + name)
    return ledger.accept(account, wake, now=NOW, limits=Dedupe(), coalesce=False)


def test_a_killed_process_loses_no_wake_that_it_accepted(tmp_path: Path) -> None:
    dice = random.Random(20261121)
    told: dict[str, int] = {}
    for life in range(8):
        child = start(ACCEPT_FOR_EVER, tmp_path / "ledger", f"life{life}")
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(dice.randrange(1, 120))]
        # The last lines before the kill are read after it: the moment falls anywhere in a call.
        for _ in range(dice.randrange(0, 3000)):
            pass
        child.kill()
        lines += child.stdout.readlines()
        assert child.wait(DEADLINE) == -signal.SIGKILL
        told |= {line.split()[1]: int(line.split()[0]) for line in lines if line.endswith("\n")}
        ledger = open_ledger(tmp_path / "ledger")
        assert ledger.verify() == []
        for name, turn in told.items():
            assert ledger.get(turn).account == "support"
            assert accept(ledger, name) == Accepted(turn, True)
        # At most the one that was accepted and not yet told is there besides.
        assert ledger.counts()["support"].accepted <= len(told) + life + 1
        ledger.close()
    assert len(set(told.values())) == len(told) >= 8


def test_a_killed_writer_in_mid_transaction_leaves_no_trace(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    accept(ledger, "first")
    before = ledger.counts()
    ledger.close()
    child = start(
        ACCEPT_SOME.replace(
            "for n in",
            "from raftsup.ledger import dedupe; import os, signal\n"
            "dedupe.forget = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
            "for n in",
        ),
        tmp_path / "ledger",
        "support",
        1,
        1 << 30,
    )
    assert child.wait(DEADLINE) == -signal.SIGKILL
    ledger = open_ledger(tmp_path / "ledger")
    assert ledger.counts() == before
    assert [turn.id for turn in ledger.recent()] == [1]
    assert ledger.verify() == []
    assert accept(ledger, "second") == Accepted(2, False)
    ledger.close()


def test_processes_that_open_and_accept_at_once_lose_nothing(tmp_path: Path) -> None:
    children = [start(ACCEPT_SOME, tmp_path / "ledger", f"a{n}", 60, 1 << 30) for n in range(4)]
    ledger = open_ledger(tmp_path / "ledger")
    last, until = 0, time.monotonic() + DEADLINE
    while last < 240 and time.monotonic() < until:
        # Ids rise in the order of commits: who goes on from the last one misses none.
        for turn in ledger.owed(after=last):
            ledger.claim(turn.id, now=NOW)
            ledger.settle(turn.id, Event.SUCCEED, now=NOW)
            last = turn.id
    assert [child.wait(DEADLINE) for child in children] == [0, 0, 0, 0]
    assert [turn.id for turn in ledger.recent(limit=500)] == list(range(240, 0, -1))
    assert {name: counts.done for name, counts in ledger.counts().items()} == dict.fromkeys(
        ["a0", "a1", "a2", "a3"], 60
    )
    assert ledger.verify() == []
    ledger.close()


def test_a_reader_sees_what_another_process_wrote_just_now(tmp_path: Path) -> None:
    open_ledger(tmp_path / "ledger").close()
    reader = open_ledger(tmp_path / "ledger", readonly=True)
    assert reader.owed() == []
    assert start(ACCEPT_SOME, tmp_path / "ledger", "a", 3, 1 << 30).wait(DEADLINE) == 0
    assert [turn.id for turn in reader.owed()] == [1, 2, 3]
    reader.close()


def test_a_process_follows_a_map_that_another_made_larger(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger", 1 << 20)
    assert start(ACCEPT_SOME, tmp_path / "ledger", "a", 4000, 1 << 24).wait(DEADLINE) == 0
    assert accept(ledger, "after") == Accepted(4001, False)
    assert ledger.verify() == []
    ledger.close()


def in_fork(work: Callable[[], None]) -> int:
    """The exit code of a fork that runs ``work``: 0 if it returned."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_ledger_opened_before_the_fork_is_refused_in_the_child(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")

    def use() -> None:
        for call in (
            lambda: accept(ledger, "x"),
            ledger.owed,
            lambda: ledger.backup(tmp_path / "copy"),
        ):
            with pytest.raises(LedgerError, match=f"opened by process {os.getppid()}"):
                call()
        ledger.close()

    assert in_fork(use) == 0
    assert not (tmp_path / "copy").exists()
    assert accept(ledger, "event_1") == Accepted(1, False)
    ledger.close()


def test_a_full_disk_refuses_the_wake_records_nothing_and_heals(tmp_path: Path) -> None:
    def work() -> None:
        ledger = open_ledger(tmp_path / "ledger")
        accepted = accept(ledger, "first").turn
        size = (tmp_path / "ledger" / "data.mdb").stat().st_size
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # No write beyond this offset succeeds, as on a disk without room.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8 * 4096, hard))
        with pytest.raises(LedgerUnavailable, match="cannot be written"):
            while accepted < 10_000:
                accepted = accept(ledger, f"event_{accepted}").turn
        assert ledger.counts()["support"].accepted == accepted
        assert ledger.verify() == []
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        # The same delivery, sent again: it left no trace.
        assert accept(ledger, f"event_{accepted}") == Accepted(accepted + 1, False)
        assert ledger.verify() == []
        ledger.close()

    assert in_fork(work) == 0


def test_a_turn_that_ran_when_its_process_was_killed_is_still_running(tmp_path: Path) -> None:
    def work() -> None:
        ledger = open_ledger(tmp_path / "ledger")
        ledger.claim(accept(ledger, "event_1").turn, now=NOW)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_fork(work) == -signal.SIGKILL
    ledger = open_ledger(tmp_path / "ledger")
    (turn,) = ledger.running()
    assert (turn.state, turn.attempt) == (State.RUNNING, 1)
    ledger.close()
