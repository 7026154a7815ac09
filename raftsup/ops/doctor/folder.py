"""The state folder: whose it is, who may look, what is left over in it, what room it has."""

from __future__ import annotations

import os
import shlex
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil

from raftsup import flock
from raftsup.ops.doctor.finding import Finding, NotMended, bad, good, warning
from raftsup.ops.doctor.scene import Scene
from raftsup.paths import MAX_SOCKET_PATH, StateDir

_MB = 1 << 20
#: Free bytes below which turns and wakes are about to be refused, and are soon.
_LITTLE, _SCARCE = 50 * _MB, 500 * _MB
_INODES = 1000
_SHOWN = 3
#: What raftsup makes in the state folder itself, and what it renames there when it is whole.
_FILES = ("raftsup.lock", "dispatcher.lock", "supervisord.conf", "supervisord.pid", "roster.json",
          "device.pem", "supervisor.sock", "dispatcher.sock")  # fmt: skip
_UNFINISHED = ("roster.new", "supervisord.new")


def folder(scene: Scene) -> Iterator[Finding]:
    state = scene.state
    if (length := len(os.fsencode(state.supervisor_socket))) > MAX_SOCKET_PATH:
        yield too_long(state.root, length)
        return
    try:
        info = state.root.stat()
        names = {entry.name for entry in state.root.iterdir()}
    except FileNotFoundError:
        yield good(f"{state.root} is not there yet; the first `raftsup up` makes it")
        return
    except OSError as error:
        yield bad(f"{state.root}: {error.strerror}", "no host can run on it",
                  "run as its owner, or set RAFTSUP_STATE_DIR to another folder")  # fmt: skip
        return
    if info.st_uid != os.getuid():
        yield bad(f"{state.root} belongs to uid {info.st_uid}, this is uid {os.getuid()}",
                  "only its owner can run the host, and look at it",
                  f"sudo -u '#{info.st_uid}' raftsup doctor --state-dir"
                  f" {shlex.quote(str(state.root))}")  # fmt: skip
        return
    mode = stat.S_IMODE(info.st_mode)
    if mode & 0o077 and names and state.lock.name not in names:
        yield bad(f"{state.root} is open to others and holds other things",
                  "raftsup needs a folder to itself and does not start here",
                  "export RAFTSUP_STATE_DIR=<a new or empty folder>")  # fmt: skip
        return
    opened = open_to_others(state)
    if not opened:
        yield good(f"{state.root}: this user's alone")
        return
    shown = ", ".join(str(path) for path in opened[:_SHOWN])
    more = f" and {len(opened) - _SHOWN} more" if len(opened) > _SHOWN else ""
    say = bad if mode & 0o077 else warning
    yield say(f"open to others: {shown}{more}",
              "transcripts, keys and the host's sockets are this user's alone",
              f"chmod go-rwx {shlex.join(map(str, opened))}" if not more else
              "raftsup doctor --fix", lambda: _close(opened))  # fmt: skip


def too_long(root: Path, length: int) -> Finding:
    return bad(
        f"{root}: its sockets' paths would be {length} bytes long, this system takes"
        f" {MAX_SOCKET_PATH}",
        "no host can start on it",
        "export RAFTSUP_STATE_DIR=<a shorter path>",
    )


def open_to_others(state: StateDir) -> list[Path]:
    """What others may read, write or enter of what raftsup makes there, and of nothing else: who
    named their home the state folder has other things in it.
    """
    rooms = [state.ledger, state.logs, state.reports, state.heartbeats, state.turns, state.agents]
    files = [state.root / name for name in _FILES]
    inside = [path for room in rooms if room.is_dir() for path in room.iterdir()]
    found = []
    for path in (state.root, *files, *rooms, *inside):
        try:
            info = path.lstat()
        except OSError:
            continue  # not there, or gone meanwhile
        if not stat.S_ISLNK(info.st_mode) and stat.S_IMODE(info.st_mode) & 0o077:
            found.append(path)
    return found


def _close(paths: list[Path]) -> str:
    for path in paths:
        try:
            path.chmod(stat.S_IMODE(path.lstat().st_mode) & 0o700)
        except FileNotFoundError:
            continue
    return f"closed {len(paths)} files and folders to others, the first {paths[0]}"


def leftovers(scene: Scene) -> Iterator[Finding]:
    if scene.running or not scene.ours or not scene.state.lock.exists():
        return  # it runs; or no host ever ran here, and what is here is not of one
    left = list(left_by_the_dead(scene.state))
    if left:
        names = ", ".join(path.name for path in left)
        root = scene.state.root
        yield warning(
            f"{root}: left by a host that was killed: {names}",
            "the next start clears them away; until then tools may wait for nobody",
            "raftsup doctor --fix",
            lambda: _clear(scene.state),
        )


def left_by_the_dead(state: StateDir) -> Iterator[Path]:
    """Sockets that nobody listens at, and files that were never put in their place."""
    for socket_path in (state.supervisor_socket, state.dispatcher_socket):
        for path in state.root.glob(f"{socket_path.name}*"):
            if stat.S_ISSOCK(path.lstat().st_mode) and not _listens(path):
                yield path
    yield from (state.root / name for name in _UNFINISHED if (state.root / name).is_file())
    yield from state.reports.glob("*.new")


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # busy, or not ours to know
    return True


def _clear(state: StateDir) -> str:
    try:
        # No host can start meanwhile.
        lock = flock.take(state.lock)
    except flock.Held as held:
        raise NotMended(f"a host has started meanwhile: pid {held.pid}") from None
    try:
        gone = list(left_by_the_dead(state))
        for path in gone:
            path.unlink(missing_ok=True)
    finally:
        os.close(lock)
    return f"{state.root}: removed {', '.join(path.name for path in gone) or 'nothing'}"


def disk(scene: Scene) -> Iterator[Finding]:
    place = next(p for p in (scene.state.root, *scene.state.root.parents) if p.exists())
    room = os.statvfs(place)
    yield judge_room(str(place), psutil.disk_usage(str(place)).free,
                     room.f_favail if room.f_files else None)  # fmt: skip


def judge_room(place: str, free: int, inodes: int | None) -> Finding:
    """``free``: bytes; ``inodes``: files that can still be made, None where that has no limit."""
    shown = f"{place}: {free / _MB:,.0f} MB free on its disk"
    mend = f"make room: `du -xh {shlex.quote(place)} | sort -h | tail`"
    if inodes is not None and inodes < _INODES:
        return bad(f"{place}: its disk can take {inodes} more files",
                   "no turn can start without its transcript", mend)  # fmt: skip
    if free < _LITTLE:
        return bad(shown, "wakes are refused (Raft sends them again) and no turn starts", mend)
    if free < _SCARCE:
        return warning(shown, "at the end of it wakes are refused and no turn starts", mend)
    return good(shown)
