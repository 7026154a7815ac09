"""A kept child is gone, with all it started, when its owner is gone."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raftsup.proc import shim
from raftsup.proc.child import Child, IdleShim, dismiss, exit_text, prepare, spawn
from tests.processes import alive, until

ENV = {"PATH": os.environ["PATH"]}
#: A program that starts a child in a session of its own, tells both pids and stays.
FAMILY = (
    "import os,subprocess,sys,time\n"
    "c = subprocess.Popen(['sleep','600'], start_new_session=True)\n"
    "print(os.getpid(), c.pid, flush=True)\n"
    "time.sleep(600)\n"
)


def start(*argv: str, **more: object) -> tuple[Child, int]:
    read, write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    child = spawn(
        argv,
        title="shim",
        env=ENV,
        stdin=null,
        stdout=write,
        stderr=null,
        **more,  # type: ignore[arg-type]
    )
    os.close(write)
    os.close(null)
    return child, read


def family(
    argv: tuple[str, ...] = (sys.executable, "-c", FAMILY),
) -> tuple[Child, list[int]]:
    child, read = start(*argv)
    with os.fdopen(read) as out:
        return child, [int(word) for word in out.readline().split()]


def test_the_exit_status_of_a_program_reaches_its_owner() -> None:
    child, read = start("sh", "-c", "echo hello; exit 3")
    assert child.wait(10)
    assert (child.failure, exit_text(child.status)) == (None, "exited with 3")
    assert os.read(read, 99) == b"hello\n"
    assert os.read(read, 99) == b""  # and its pipes are closed
    os.close(read)


def test_a_program_that_does_not_exist_is_told_with_its_name() -> None:
    child, read = start("no-such-program-here")
    os.close(read)
    assert child.wait(10)
    assert child.failure == "no-such-program-here: No such file or directory"
    assert child.pid is None


def test_a_folder_that_does_not_exist_is_told_with_its_name(tmp_path: Path) -> None:
    child, read = start("true", cwd=str(tmp_path / "gone"))
    os.close(read)
    assert child.wait(10)
    assert child.failure is not None and str(tmp_path / "gone") in child.failure


def test_terminate_reaches_the_whole_group() -> None:
    child, read = start("sh", "-c", "sleep 600 & echo $!; wait")
    with os.fdopen(read) as out:
        grandchild = int(out.readline())
    child.terminate()
    assert child.wait(10)
    assert exit_text(child.status) == "killed by SIGTERM"
    assert not alive(grandchild)


def test_kill_reaches_children_that_left_the_group() -> None:
    child, pids = family()
    child.kill()
    assert child.wait(10)
    assert not any(alive(pid) for pid in pids)


def test_what_a_program_leaves_behind_ends_with_it() -> None:
    child, read = start("sh", "-c", "setsid sleep 600 & echo $!")
    with os.fdopen(read) as out:
        left = int(out.readline())
    assert child.wait(10)
    assert exit_text(child.status) == "exited with 0"
    assert not alive(left)


def test_a_killed_shim_takes_its_program_with_it() -> None:
    child, read = start("sh", "-c", "sleep 600 & echo $!; wait")
    with os.fdopen(read) as out:
        grandchild = int(out.readline())
    until(lambda: child.read() or child.pid)
    os.kill(child.shim, signal.SIGKILL)
    assert child.wait(10)
    assert child.status is None
    until(lambda: not alive(grandchild))


def test_a_shim_that_is_killed_after_its_program_has_ended_is_told_as_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Forked from here, so it meets its end between its report and the rest of its work.
    monkeypatch.setattr(shim, "_end_all", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    child, read = start("sh", "-c", "sleep 600 & echo $!")
    with os.fdopen(read) as out:
        left = int(out.readline())
    assert child.wait(10)
    assert (exit_text(child.status), child.lost) == ("exited with 0", True)
    until(lambda: not alive(left))  # what stayed in its group


def test_one_that_did_its_work_is_not_lost() -> None:
    child, read = start("true")
    os.close(read)
    assert child.wait(10)
    assert (child.status, child.lost) == (0, False)


def test_a_shim_that_is_stopped_is_destroyed_with_its_program() -> None:
    child, read = start("sh", "-c", "sleep 600 & echo $!; wait")
    with os.fdopen(read) as out:
        grandchild = int(out.readline())
    until(lambda: child.read() or child.pid)
    os.kill(child.shim, signal.SIGSTOP)
    child.kill()
    assert not child.wait(0.3)
    child.destroy()
    assert child.wait(10) and child.lost
    until(lambda: not alive(grandchild) and not alive(child.shim))


def test_the_lock_is_held_until_everything_is_gone(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    child, read = start("sleep", "600", hold=(lock,))
    os.close(read)
    until(lambda: child.read() or child.pid)
    os.close(lock)
    again = os.open(tmp_path / "lock", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    child.kill()
    assert child.wait(10)
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(again)


OWNER = f"""
import os, sys, time
from raftsup.proc import child as kept
null = os.open(os.devnull, os.O_RDWR)
child = kept.spawn([sys.executable, "-c", {FAMILY!r}], title="shim", env=dict(os.environ),
                   stdin=null, stdout=1, stderr=null)
print(child.shim, flush=True)
time.sleep(600)
"""


def test_nothing_survives_an_owner_that_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(w) for _ in range(2) for w in owner.stdout.readline().split()]
    assert len(pids) == 3
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: not any(alive(pid) for pid in pids))


def test_a_shim_in_waiting_keeps_what_it_is_told() -> None:
    idle = IdleShim()
    idle.refill()
    waiting = idle.take()
    assert waiting is not None and idle.take() is None
    child, read = start("sh", "-c", "exit 3", waiting=waiting)
    os.close(read)
    assert child.shim == waiting.pid
    assert child.wait(10)
    assert exit_text(child.status) == "exited with 3"


def test_a_shim_that_was_killed_while_it_waited_is_replaced() -> None:
    waiting = prepare()
    os.kill(waiting.pid, signal.SIGKILL)
    os.waitid(os.P_PID, waiting.pid, os.WEXITED | os.WNOWAIT)
    child, read = start("sh", "-c", "exit 3", waiting=waiting)
    os.close(read)
    assert child.shim != waiting.pid
    assert child.wait(10)
    assert exit_text(child.status) == "exited with 3"


def test_an_unused_shim_ends_with_its_owner() -> None:
    code = (
        "import time\nfrom raftsup.proc import child as kept\nwaiting = kept.prepare()\n"
        "print(waiting.pid, flush=True)\ntime.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    waiting = int(owner.stdout.readline())
    assert alive(waiting)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: not alive(waiting))


def test_a_word_right_behind_the_order_is_heard() -> None:
    for _ in range(20):
        child, read = start("sleep", "600")
        os.close(read)
        child.kill()
        assert child.wait(10)


def test_a_long_order_arrives_whole() -> None:
    text = "x" * 100_000
    child, read = start("sh", "-c", 'printf %s "$1" | wc -c', "sh", text)
    with os.fdopen(read) as out:
        assert out.read().split() == ["100000"]
    assert child.wait(10)


def test_a_death_by_a_signal_without_a_name_is_told_by_its_number() -> None:
    child, read = start("sh", "-c", "kill -40 $$")
    os.close(read)
    assert child.wait(10)
    assert exit_text(child.status) == "killed by signal 40"


def test_a_shim_finishes_its_work_though_nobody_hears_its_report() -> None:
    # The report to a dead owner must not end the shim (SIGPIPE) before it has killed the rest.
    head, _, _ = OWNER.rpartition("time.sleep(600)")
    owner_code = head + "child.wait(0.2)\nos.kill(os.getpid(), 9)\n"
    for _ in range(10):
        owner = subprocess.Popen(
            [sys.executable, "-c", owner_code], stdout=subprocess.PIPE, text=True
        )
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.read().split()]
        owner.wait()
        owner.stdout.close()
        until(lambda pids=pids: not any(alive(pid) for pid in pids))


def test_one_shim_starts_successive_programs_and_nothing_of_one_outlives_it() -> None:
    waiting, seen = prepare(), []
    shim = waiting.pid
    for number in range(3):
        script = f"sleep 600 & echo $! && exit {number}"
        child, read = start("sh", "-c", script, waiting=waiting, stays=True)
        with os.fdopen(read) as out:
            assert child.wait(10)
            left = int(out.read())
        assert child.shim == shim and not alive(left)
        seen.append(exit_text(child.status))
        assert child.left is not None
        waiting = child.left
    assert seen == ["exited with 0", "exited with 1", "exited with 2"]
    dismiss(waiting)
    assert not alive(shim)


#: An owner whose first program has ended: it tells the shim's pid, and with an argument those of
#: the successor's family too; then it stays.
BETWEEN_PROGRAMS = """
import os, sys, time
from tests.integration.test_child import FAMILY, start
child, read = start("true", stays=True)
os.close(read)
assert child.wait(10) and child.left is not None
pids = [child.left.pid]
if sys.argv[1:]:
    child, read = start(sys.executable, "-c", FAMILY, waiting=child.left, stays=True)
    pids += [int(word) for word in os.fdopen(read).readline().split()]
print(*pids, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("successor", [(), ("successor",)])
def test_an_owner_killed_at_a_restart_leaves_nothing(successor: tuple[str, ...]) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", BETWEEN_PROGRAMS, *successor], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    assert len(pids) == (3 if successor else 1) and all(alive(pid) for pid in pids)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: not any(alive(pid) for pid in pids))


def test_a_shim_stays_also_where_a_program_cannot_be_started() -> None:
    child, read = start("/no/such/program", stays=True)
    os.close(read)
    assert child.wait(10)
    assert child.failure and child.left is not None
    child, read = start("true", waiting=child.left, stays=True)
    os.close(read)
    assert child.wait(10) and child.left is not None
    dismiss(child.left)


def test_a_word_to_a_program_that_had_ended_already_does_not_reach_the_next() -> None:
    child, read = start("true", stays=True)
    os.close(read)
    assert child.wait(10)
    assert child.left is not None
    child.kill()
    child.terminate()
    child, read = start("sh", "-c", "exit 3", waiting=child.left, stays=True)
    os.close(read)
    assert child.wait(10)
    assert exit_text(child.status) == "exited with 3"
    assert child.left is not None
    dismiss(child.left)


def test_a_lock_that_is_held_for_a_program_is_free_while_its_shim_waits(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = os.open(path, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    child, read = start("sleep", "600", hold=[lock], stays=True)
    os.close(lock)
    os.close(read)
    again = os.open(path, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    child.kill()
    assert child.wait(10)
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(again)
    assert child.left is not None
    dismiss(child.left)
