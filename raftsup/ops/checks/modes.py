"""Who may read and write what raftsup made in its state folder."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from raftsup.ops.checks.finding import Finding, fail, warning
from raftsup.paths import StateDir

_SHOWN = 3
#: What raftsup makes in the state folder itself.
_FILES = ("raftsup.lock", "dispatcher.lock", "supervisord.conf", "supervisord.pid", "roster.json",
          "device.pem", "supervisor.sock", "dispatcher.sock")  # fmt: skip


def judge(state: StateDir) -> Iterator[Finding]:
    """``state``: a folder of this user's."""
    found = list(ours(state))
    for path in rooms(state):
        if path.exists() and not path.is_dir():
            quoted = shlex.quote(str(path))
            yield fail(f"{path} is not a folder", "no host can start on it",
                      f"mv {quoted} {quoted}.old")  # fmt: skip
    if theirs := [path for path, info in found if info.st_uid != os.getuid()]:
        yield fail(f"not this user's: {_list(theirs)}", "the host cannot write there, or clear it"
                  " away", f"sudo chown -R {os.getuid()} {shlex.quote(str(state.root))}",
                  advice="a raftsup that was started with sudo may have made it")  # fmt: skip
    if shut := [path for path, info in found if not _usable(info.st_mode)]:
        yield fail(f"closed to this user: {_list(shut)}", "the host cannot read or write there",
                  _chmod("u+rwX", shut), partial(_open, shut))  # fmt: skip
    if opened := [path for path, info in found if stat.S_IMODE(info.st_mode) & 0o077]:
        say = fail if state.root in opened else warning
        yield say(f"open to others: {_list(opened)}",
                  "transcripts, keys and the host's sockets are this user's alone",
                  _chmod("go-rwx", opened), partial(_close, opened))  # fmt: skip


def rooms(state: StateDir) -> list[Path]:
    return [state.ledger, state.logs, state.reports, state.heartbeats, state.turns, state.agents]


def ours(state: StateDir) -> Iterator[tuple[Path, os.stat_result]]:
    """What raftsup makes there, and nothing else: who named their home the state folder has other
    things in it. Without links, and without what lies in a room that cannot be entered.
    """
    files = [state.root / name for name in _FILES]
    for path in (state.root, *files, *rooms(state), *_inside(rooms(state))):
        try:
            info = path.lstat()
        except OSError:
            continue  # not there, or gone meanwhile
        if not stat.S_ISLNK(info.st_mode):
            yield path, info


def _inside(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        try:
            yield from list(folder.iterdir())
        except OSError:
            continue


def _usable(mode: int) -> bool:
    needed = 0o700 if stat.S_ISDIR(mode) else 0o600
    return mode & needed == needed


def _list(paths: list[Path]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(map(str, paths[:_SHOWN])) + more


def _chmod(how: str, paths: list[Path]) -> str:
    named = len(paths) <= _SHOWN
    return f"chmod {how} {shlex.join(map(str, paths))}" if named else "raftsup doctor --fix"


def _change(paths: list[Path], new: Callable[[int], int]) -> None:
    for path in paths:
        try:
            path.chmod(stat.S_IMODE(new(path.lstat().st_mode)))
        except FileNotFoundError:
            continue  # gone meanwhile


def _close(paths: list[Path]) -> str:
    _change(paths, lambda mode: mode & 0o700)
    return f"closed to others: {_list(paths)}"


def _open(paths: list[Path]) -> str:
    _change(paths, lambda mode: mode | (0o700 if stat.S_ISDIR(mode) else 0o600))
    return f"opened to this user: {_list(paths)}"
