"""The lock file has one holder, and none once its holder is gone."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from raftsup.proc import lockfile

HOLD = (
    "import sys; from pathlib import Path; from raftsup.proc import lockfile\n"
    "lockfile.take(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()\n"
)


def hold(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate()


def test_a_held_lock_is_refused_and_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = hold(path)
    try:
        with pytest.raises(lockfile.Held, match=f"held by pid {child.pid}") as held:
            lockfile.take(path, wait=0)
        assert held.value.pid == child.pid == lockfile.holder(path)
    finally:
        end(child)


def test_a_killed_holder_holds_nothing_though_its_pid_stays_written(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = hold(path)
    end(child)
    assert path.read_text() == f"{child.pid}\n"
    assert lockfile.holder(path) is None
    descriptor = lockfile.take(path)
    assert path.read_text() == f"{os.getpid()}\n"
    os.close(descriptor)


def test_a_lock_that_was_never_taken_has_no_holder_and_makes_no_file(tmp_path: Path) -> None:
    assert lockfile.holder(tmp_path / "lock") is None
    assert not (tmp_path / "lock").exists()


def test_waiting_for_a_lock_ends_when_its_holder_goes(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = hold(path)
    timer = threading.Timer(0.05, child.kill)
    timer.start()
    try:
        descriptor = lockfile.take(path, wait=10)
        assert lockfile.holder(path) == os.getpid()
        os.close(descriptor)
    finally:
        timer.join()
        end(child)


def test_the_lock_is_private_and_no_program_inherits_it(tmp_path: Path) -> None:
    descriptor = lockfile.take(tmp_path / "lock")
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_two_who_look_at_a_free_lock_do_not_take_each_other_for_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    os.close(lockfile.take(path))
    seen: list[int | None] = []
    ready = threading.Barrier(4)

    def look() -> None:
        ready.wait()
        seen.extend(lockfile.holder(path) for _ in range(500))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {None}


def test_a_look_at_the_lock_does_not_refuse_who_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    os.close(lockfile.take(path))
    look = os.open(path, os.O_RDWR)
    fcntl.flock(look, fcntl.LOCK_SH)
    # The look ends while the taker waits for its next try.
    threading.Timer(0.02, os.close, (look,)).start()
    os.close(lockfile.take(path, wait=30.0))
