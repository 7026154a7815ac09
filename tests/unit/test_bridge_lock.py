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

from raftsup.worker import bridge_lock

BRIDGE = ["node", "/usr/bin/raft", "--profile", "support", "agent", "bridge", "--json"]
OTHERS = ["node", "/usr/bin/raft", "--profile", "sales", "agent", "bridge"]


def lock(pid: object) -> bytes:
    return json.dumps({"pid": pid, "createdAt": "2026-11-21T08:00:00.000Z"}).encode()


@pytest.mark.parametrize(
    ("argv", "bridge"),
    [
        (BRIDGE, True),
        (["raft", "--profile=support", "agent", "bridge"], True),
        (OTHERS, False),
        (["raft", "--profile=sales", "agent", "bridge"], False),
        (["raft", "--profile", "support", "message", "check"], False),
        (["raft", "--profile", "support", "agent", "list", "bridge"], False),
        (["raft", "--profile", "support-2", "agent", "bridge"], False),
        (["raft", "--profile"], False),
        (["support", "--profile", "agent", "bridge"], False),
        ([], False),
    ],
)
def test_a_command_line_is_a_bridge_of_the_profile_only_if_it_says_both(
    argv: Sequence[str], bridge: bool
) -> None:
    assert bridge_lock.is_bridge(argv, "support") is bridge


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
        (lock(8), True, "8 is another program"),
        (lock(6), True, "6 is another program"),
        (lock(5), True, "5 is another program"),
        (lock(7), False, "another bridge of profile support runs: pid 7"),
    ],
)
def test_a_lock_is_stale_unless_a_bridge_of_this_profile_lives_behind_it(
    content: bytes, stale: bool, why: str
) -> None:
    lines: dict[int, Sequence[str]] = {5: (), 6: OTHERS, 7: BRIDGE, 8: ["sleep", "60"]}
    verdict = bridge_lock.judge(content, "support", lines)
    assert verdict.stale is stale
    assert why in verdict.why


@given(st.binary(max_size=60))
def test_no_content_of_a_lock_file_breaks_the_judge(content: bytes) -> None:
    assert bridge_lock.judge(content, "support", {1: ["init"]}).why


@pytest.mark.parametrize(
    ("stderr", "path"),
    [
        ("Lock: /home/a/bridge.lock", "/home/a/bridge.lock"),
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
    found = bridge_lock.told_path(stderr)
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
    assert bridge_lock.heal(path, "support").stale
    assert not path.exists()


def test_healing_leaves_a_lock_alone_that_may_be_being_written(tmp_path: Path) -> None:
    path = tmp_path / "bridge.lock"
    path.write_bytes(b"")
    assert not bridge_lock.heal(path, "support").stale
    assert path.exists()


def test_healing_never_removes_the_lock_of_a_living_bridge_of_the_profile(tmp_path: Path) -> None:
    path = tmp_path / "bridge.lock"
    script = "import sys; sys.stdin.read()"
    argv = [sys.executable, "-c", script, "--profile", "support", "agent", "bridge"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as bridge:
        path.write_bytes(lock(bridge.pid))
        verdict = bridge_lock.heal(path, "support")
        elsewhere = tmp_path / "sales" / "bridge.lock"
        elsewhere.parent.mkdir()
        elsewhere.write_bytes(lock(bridge.pid))
        assert bridge_lock.heal(elsewhere, "sales").stale, "its pid is no bridge of sales"
    assert not verdict.stale
    assert str(bridge.pid) in verdict.why
    assert path.exists()


def test_healing_removes_no_symbolic_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"")
    path = tmp_path / "bridge.lock"
    path.symlink_to(precious)
    verdict = bridge_lock.heal(path, "support")
    assert not verdict.stale
    assert path.is_symlink()
    assert precious.exists()


def test_healing_removes_no_file_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bridge.lock"
    path.write_bytes(b"")
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    assert not bridge_lock.heal(path, "support").stale
    assert path.exists()


def test_healing_removes_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "bridge.lock"
    path.mkdir()
    assert not bridge_lock.heal(path, "support").stale
    assert path.is_dir()


def test_healing_keeps_a_lock_that_was_taken_while_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bridge.lock"
    path.write_bytes(b"")
    os.utime(path, ns=(1, 1))

    def another_starts() -> dict[int, Sequence[str]]:
        path.unlink()
        path.write_bytes(lock(7))
        return {}

    monkeypatch.setattr(bridge_lock, "_command_lines", another_starts)
    bridge_lock.heal(path, "support")
    assert path.read_bytes() == lock(7)
