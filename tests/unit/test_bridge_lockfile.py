"""The CLI's lock file: which may go, and which never."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.worker.bridge import lockfile
from raftsup.worker.bridge.lockfile import Process

#: When the locks of these tests were written, in Unix seconds.
WRITTEN = 1_795_248_000.0
BRIDGE = ["node", "/usr/bin/raft", "--profile", "support", "agent", "bridge", "--json"]
OTHERS = ["node", "/usr/bin/raft", "--profile", "sales", "agent", "bridge"]
NAMELESS = ["node", "/usr/bin/raft", "agent", "bridge", "--json"]


def lock(pid: object, **more: object) -> bytes:
    owner = {"pid": pid, "createdAt": "2026-11-21T08:00:00.000Z", **more}
    return json.dumps(owner, indent=2).encode()


@pytest.mark.parametrize(
    ("argv", "environ", "profile"),
    [
        (BRIDGE, None, "support"),
        (["raft", "--profile=support", "agent", "bridge"], None, "support"),
        (["raft", "-p", "support", "agent", "bridge"], None, "support"),
        (["raft", "agent", "bridge", "--profile", "support"], None, "support"),
        (OTHERS, None, "sales"),
        (NAMELESS, {"RAFT_PROFILE": "support"}, "support"),
        (NAMELESS, {"SLOCK_PROFILE": "support"}, "support"),
        (BRIDGE, {"RAFT_PROFILE": "sales"}, "support"),
        (NAMELESS, {}, None),
        (NAMELESS, None, None),
        (["raft", "--profile", "support", "message", "check"], None, None),
        (["raft", "--profile", "support", "agent", "list", "bridge"], None, None),
        (["raft", "--profile"], None, None),
        ([], None, None),
    ],
)
def test_whose_bridge_a_process_is(
    argv: Sequence[str], environ: dict[str, str] | None, profile: str | None
) -> None:
    assert lockfile.profile_of(Process(7, argv, environ)) == profile


BEFORE, AFTER = WRITTEN - 1, WRITTEN + 60


@pytest.mark.parametrize(
    ("content", "stale", "why"),
    [
        (b"", True, "empty or corrupt"),
        (b"\0" * 64, True, "empty or corrupt"),
        (b'{"pid": 7', True, "empty or corrupt"),
        (b"\xff\xfe", True, "empty or corrupt"),
        (b"[]", True, "empty or corrupt"),
        (b"7", True, "empty or corrupt"),
        (b"{}", True, "empty or corrupt"),
        (lock("7"), True, "no pid"),
        (lock(True), True, "no pid"),
        (lock(None), True, "no pid"),
        (lock(7.5), True, "no pid"),
        (lock(9), True, "9 is dead"),
        (lock(-1), True, "-1 is dead"),
    ],
)
def test_a_lock_that_no_process_is_behind_is_stale(content: bytes, stale: bool, why: str) -> None:
    verdict = lockfile.judge(content, "support", lambda pid: None)
    assert verdict.stale is stale
    assert why in verdict.why


@pytest.mark.parametrize(
    ("process", "more", "stale", "why"),
    [
        # Its bridge, by whatever it says so.
        ((BRIDGE, None, BEFORE), {}, False, "another bridge of profile support runs: pid 7"),
        ((BRIDGE, None, AFTER), {}, False, "another bridge of profile support runs: pid 7"),
        ((NAMELESS, {"RAFT_PROFILE": "support"}, BEFORE), {}, False, "another bridge"),
        ((OTHERS, None, BEFORE), {"profileSlug": "sales"}, False, "another bridge"),
        # The pid was given to another since.
        ((["sleep", "60"], None, AFTER), {}, True, "pid 7 is another program by now"),
        ((["sleep", "60"], {}, AFTER), {"profileSlug": "support"}, True, "another program"),
        ((OTHERS, None, AFTER), {}, True, "another program by now"),
        ((OTHERS, None, BEFORE), {"profileSlug": "support"}, True, "a bridge of profile sales"),
        # Who can tell.
        ((["sleep", "60"], None, BEFORE), {}, False, "ps -fp 7"),
        ((["sleep", "60"], None, AFTER), {"createdAt": "lately"}, False, "ps -fp 7"),
        (([], None, AFTER), {}, False, "ps -fp 7"),
        ((NAMELESS, None, AFTER), {}, False, "ps -fp 7"),
        ((NAMELESS, {}, BEFORE), {}, False, "ps -fp 7"),
        ((OTHERS, None, BEFORE), {}, False, "ps -fp 7"),
    ],
)
def test_a_living_process_behind_a_lock_is_told_apart_or_left_in_peace(
    process: tuple[list[str], dict[str, str] | None, float],
    more: dict[str, str],
    stale: bool,
    why: str,
) -> None:
    verdict = lockfile.judge(lock(7, **more), "support", lambda pid: Process(pid, *process))
    assert verdict.stale is stale
    assert why in verdict.why


@given(
    st.sampled_from([BRIDGE, NAMELESS, ["raft", "-p", "support", "agent", "bridge"]]),
    st.sampled_from([None, {}, {"RAFT_PROFILE": "support"}, {"SLOCK_PROFILE": "support"}]),
    st.floats(WRITTEN - 1e6, WRITTEN + 1e6),
    st.sampled_from([{}, {"profileSlug": "support"}, {"createdAt": None}]),
)
def test_the_lock_of_a_bridge_that_may_be_ours_is_never_stale(
    argv: list[str],
    environ: dict[str, str] | None,
    started: float,
    more: dict[str, object],
) -> None:
    process = Process(7, argv, environ, started)
    assert not lockfile.judge(lock(7, **more), "support", lambda pid: process).stale


@given(st.binary(max_size=60))
def test_no_content_of_a_lock_file_breaks_the_judge(content: bytes) -> None:
    assert lockfile.judge(content, "support", lambda pid: Process(pid, ["init"])).why


@pytest.mark.parametrize(
    ("stderr", "path"),
    [
        ("Lock: /home/a/bridge.lock", "/home/a/bridge.lock"),
        ("Code: X\nNext action: Stop it or wait. Lock: /a b/bridge.lock\n", "/a b/bridge.lock"),
        ("Error: is running\n  Lock: /a b/c/bridge.lock  \nCode: X", "/a b/c/bridge.lock"),
        ("Lock: /etc/passwd", None),
        ("Lock: /home/a/bridge.lock.d/x", None),
        ("Deadlock: /home/a/bridge.lock", None),
        ("", None),
    ],
)
def test_only_a_file_called_bridge_lock_is_taken_from_what_the_cli_says(
    stderr: str, path: str | None
) -> None:
    found = lockfile.told_path(stderr)
    assert found == (Path(path) if path else None)


@pytest.mark.parametrize(
    "content", [b"", b"{not json", lock(1 << 22), lock(os.getpid())],
    ids=["empty", "corrupt", "dead", "reused"],
)  # fmt: skip
def test_healing_removes_an_empty_a_corrupt_a_dead_and_a_reused_pids_lock(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bridge.lock"
    path.write_bytes(content)
    os.utime(path, (1, 1))
    assert lockfile.heal(path, "support").stale
    assert not path.exists()


def test_healing_leaves_a_lock_alone_that_may_be_being_written(tmp_path: Path) -> None:
    path = tmp_path / "bridge.lock"
    path.write_bytes(b"")
    assert not lockfile.heal(path, "support").stale
    assert path.exists()


def test_healing_never_removes_the_lock_of_a_living_bridge_of_the_profile(tmp_path: Path) -> None:
    path = tmp_path / "bridge.lock"
    script = "import sys; print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", script, "--profile", "support", "agent", "bridge"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bridge:
        assert bridge.stdout is not None
        bridge.stdout.readline()  # before its exec is through, its environment cannot be read
        path.write_bytes(lock(bridge.pid))
        verdict = lockfile.heal(path, "support")
        elsewhere = tmp_path / "sales" / "bridge.lock"
        elsewhere.parent.mkdir()
        elsewhere.write_bytes(lock(bridge.pid))
        assert lockfile.heal(elsewhere, "sales").stale, "its pid is no bridge of sales"
    assert not verdict.stale
    assert str(bridge.pid) in verdict.why
    assert path.exists()


def test_healing_removes_no_symbolic_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"")
    path = tmp_path / "bridge.lock"
    path.symlink_to(precious)
    verdict = lockfile.heal(path, "support")
    assert not verdict.stale
    assert path.is_symlink()
    assert precious.exists()


def test_healing_removes_no_file_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bridge.lock"
    path.write_bytes(b"")
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    assert not lockfile.heal(path, "support").stale
    assert path.exists()


def test_healing_removes_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "bridge.lock"
    path.mkdir()
    assert not lockfile.heal(path, "support").stale
    assert path.is_dir()


def test_healing_keeps_a_lock_that_was_taken_while_it_looked(tmp_path: Path) -> None:
    path = tmp_path / "bridge.lock"
    path.write_bytes(lock(7))
    os.utime(path, ns=(1, 1))

    def another_starts(pid: int) -> None:
        path.unlink()
        path.write_bytes(lock(8))

    lockfile.heal(path, "support", another_starts)
    assert path.read_bytes() == lock(8)
