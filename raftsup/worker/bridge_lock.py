"""The CLI's ``bridge.lock``: whose it is, and when it may go.

The CLI takes over a lock whose pid is dead by itself. It is stuck for ever on one whose pid was
given to another process since (in containers at once), and on an empty or corrupt file. Those
are removed; the lock of a living bridge is reported, never stolen.
Source: RAFT_PROTOCOL, "Starting the bridge".
"""

from __future__ import annotations

import itertools
import os
import re
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

_NAME = "bridge.lock"
#: Seconds in which a lock without a pid may be one that is being written.
_NEWBORN = 2.0
_TOLD = re.compile(r"^\s*Lock:\s*(?P<path>.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    stale: bool
    #: For people: why it may go, or who holds it.
    why: str


def told_path(stderr: str) -> Path | None:
    """The lock file that the CLI named on standard error, if it did."""
    found = _TOLD.search(stderr)
    path = Path(found["path"]) if found else None
    return path if path is not None and path.name == _NAME else None


def judge(content: bytes, profile: str, argv_of: dict[int, Sequence[str]]) -> Verdict:
    """Whether a lock file is stale. ``argv_of``: the command lines of living processes."""
    pid = _pid_in(content)
    if pid is None:
        return Verdict(True, "it is empty or corrupt: there is no pid in it")
    argv = argv_of.get(pid)
    if argv is None:
        return Verdict(True, f"its pid {pid} is dead")
    if is_bridge(argv, profile):
        return Verdict(False, f"another bridge of profile {profile} runs: pid {pid}")
    return Verdict(True, f"its pid {pid} is another program by now")


def _pid_in(content: bytes) -> int | None:
    try:
        pid = orjson.loads(content)["pid"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return pid if isinstance(pid, int) and not isinstance(pid, bool) else None


def is_bridge(argv: Sequence[str], profile: str) -> bool:
    """Whether a command line is a bridge of ``profile``."""
    words = list(argv)
    pairs = list(itertools.pairwise(words))
    named = ("--profile", profile) in pairs or f"--profile={profile}" in words
    return named and ("agent", "bridge") in pairs


def heal(path: Path, profile: str) -> Verdict:
    """Remove the lock at ``path`` if it is stale. Raises ``OSError`` where it cannot."""
    info = path.lstat()
    if not stat.S_ISREG(info.st_mode) or info.st_uid != os.getuid():
        return Verdict(False, f"{path} is not a lock file of this user; remove it by hand")
    content = path.read_bytes()
    if _pid_in(content) is None and 0 <= time.time() - info.st_mtime < _NEWBORN:
        return Verdict(False, f"{path} is being written by a bridge that starts")
    verdict = judge(content, profile, _command_lines())
    if verdict.stale and path.lstat().st_mtime_ns == info.st_mtime_ns:
        path.unlink()
    return verdict


def _command_lines() -> dict[int, Sequence[str]]:
    lines: dict[int, Sequence[str]] = {}
    for process in psutil.process_iter():
        try:
            lines[process.pid] = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        except psutil.Error:
            lines[process.pid] = ()  # alive, and not ours to look at: no bridge of ours
    return lines
