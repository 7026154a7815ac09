"""The CLI's ``bridge.lock``: whose it is, and when it may go.

The CLI takes over a lock whose pid is dead by itself. It is stuck for ever on one whose pid was
given to another process since (in containers at once), and on an empty or corrupt file. Those are
removed where no living process can be its bridge; in doubt the lock stays, and what to look at is
said. The lock of a living bridge is never stolen.
Source: RAFT_PROTOCOL, "Starting the bridge" [agentCommsCore/bridge.ts].
"""

from __future__ import annotations

import itertools
import os
import shlex
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import psutil

from raftsup import raft_errors, raft_home

_NAME = "bridge.lock"
#: Seconds in which a lock without a pid may be one that is being written.
NEWBORN = 2.0
#: Seconds that a process's start and its lock's time may differ by rounding.
_ROUNDING = 2.0
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Process:
    """A living process, as far as it lets itself be looked at."""

    pid: int
    argv: Sequence[str] = ()
    #: None where it is not this user's to read.
    environ: Mapping[str, str] | None = field(default=None, repr=False)
    #: Unix seconds; 0.0 where it cannot be told.
    started: float = 0.0


Look = Callable[[int], Process | None]


@dataclass(frozen=True)
class Verdict:
    stale: bool
    #: For people: why it may go, or who holds it and what to look at.
    why: str
    #: It cannot be told whether a bridge holds it: only a person can.
    doubt: bool = False
    #: A bridge may be writing it just now.
    newborn: bool = False


def told_path(stderr: str) -> Path | None:
    """The lock file that the CLI named on standard error, if it did."""
    path = raft_errors.parse(stderr).lock
    return path if path is not None and path.name == _NAME else None


def judge(content: bytes, profile: str, look: Look) -> Verdict:
    """Whether a lock file of ``profile`` is stale. ``look(pid)``: a living process, or None."""
    owner = _owner(content)
    pid = owner.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool):
        return Verdict(True, "it is empty or corrupt: there is no pid in it")
    process = look(pid) if pid > 0 else None
    if process is None:
        return Verdict(True, f"its pid {pid} is dead")
    names = {profile}
    if isinstance(slug := owner.get("profileSlug"), str) and slug:
        names.add(slug)
    whose = profile_of(process)
    if whose in names:
        return Verdict(False, f"another bridge of profile {profile} runs: pid {pid}")
    written = _written(owner)
    if written and process.started > written + _ROUNDING and _is_no_bridge(process, whose):
        return Verdict(True, f"its pid {pid} is another program by now")
    if whose is not None and slug:
        return Verdict(True, f"its pid {pid} is a bridge of profile {whose} by now")
    return Verdict(
        False,
        f"pid {pid}, which holds the lock of profile {profile}, may be its bridge or not: look at"
        f" it with `ps -fp {pid}`, and if it is none, remove the lock",
        doubt=True,
    )


def _is_no_bridge(process: Process, whose: str | None) -> bool:
    """Whether it can be told that it is not the bridge of a profile that does not say its name."""
    return whose is not None or (bool(process.argv) and not _bridges(process.argv))


def profile_of(process: Process) -> str | None:
    """The profile whose bridge a process is: by its command line, else by its own environment.
    None: it is no bridge, or does not say of which.
    """
    if not _bridges(process.argv):
        return None
    if (named := _named(process.argv)) is not None:
        return named
    environ = process.environ or {}
    return next((environ[n] for n in raft_home.SELECTED if environ.get(n)), None)


def _bridges(argv: Sequence[str]) -> bool:
    return ("agent", "bridge") in itertools.pairwise(argv)


def _named(argv: Sequence[str]) -> str | None:
    """The profile that a command line names: ``--profile P``, ``--profile=P``, ``-p P``."""
    for word, after in itertools.zip_longest(argv, list(argv)[1:], fillvalue=""):
        if word in ("--profile", "-p"):
            return after or None
        if word.startswith("--profile="):
            return word.removeprefix("--profile=") or None
    return None


def _owner(content: bytes) -> dict[str, Any]:
    try:
        owner = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _written(owner: Mapping[str, Any]) -> float:
    """When the lock was written, in Unix seconds; 0.0 where it does not say."""
    try:
        return datetime.fromisoformat(str(owner.get("createdAt"))).timestamp()
    except ValueError:
        return 0.0


def heal(path: Path, profile: str, look: Look | None = None) -> Verdict:
    """Remove the lock at ``path`` if it is stale. Raises ``OSError`` where it cannot.
    ``look``: as ``judge`` takes it; by default the processes of this system.
    """
    info = path.lstat()
    if not stat.S_ISREG(info.st_mode) or info.st_uid != os.getuid():
        return Verdict(False, f"{path} is not a lock file of this user; remove it by hand")
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES)
    if not isinstance(_owner(content).get("pid"), int) and (
        0 <= time.time() - info.st_mtime < NEWBORN
    ):
        return Verdict(False, f"{path} is being written by a bridge that starts", newborn=True)
    verdict = judge(content, profile, look or living)
    if verdict.stale and path.lstat().st_mtime_ns == info.st_mtime_ns:
        path.unlink()
    return replace(verdict, why=f"{verdict.why}: {_removal(path)}") if verdict.doubt else verdict


def _removal(path: Path) -> str:
    return f"`rm {shlex.quote(str(path))}`"


def living(pid: int) -> Process | None:
    """The process ``pid`` of this system; None if there is none, or only its corpse."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        started = process.create_time()
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:
        return Process(pid)
    return Process(pid, _asked(process.cmdline) or (), _asked(process.environ), started)


def _asked(ask: Any) -> Any:
    try:
        return ask()
    except psutil.Error:
        return None
