"""The state folder: whose it is, who may look, what is left over in it, what room it has."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil

from raftsup import files
from raftsup.ops.checks import modes
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, NotFixed, fail, good, warning
from raftsup.paths import MAX_SOCKET_PATH, StateDir
from raftsup.proc import lockfile

_MB = 1 << 20
#: Free bytes below which turns and wakes are about to be refused, and are soon.
_LITTLE, _SCARCE = 50 * _MB, 500 * _MB
_INODES = 1000
_ELSEWHERE = 'export RAFTSUP_STATE_DIR="$HOME/.raftsup"'
#: What is renamed when it is whole.


def folder(scene: Scene) -> Iterator[Finding]:
    state = scene.state
    if (length := len(os.fsencode(state.supervisor_socket))) > MAX_SOCKET_PATH:
        yield too_long(state.root, length)
        return
    try:
        info = state.root.stat()
        if info.st_uid != os.getuid():
            yield foreign(state.root, info.st_uid, scene.file)
            return
        names = {entry.name for entry in state.root.iterdir()}
    except FileNotFoundError:
        yield good(f"{state.root} is not there yet; the first `raftsup up` makes it")
        return
    except OSError as error:
        yield closed(state.root, error)
        return
    mode = stat.S_IMODE(info.st_mode)
    if mode & 0o077 and names and state.lock.name not in names:
        yield fail(f"{state.root} is open to others and holds other things",
                  "raftsup needs a folder to itself and does not start here",
                  _ELSEWHERE, advice="or another new or empty folder")  # fmt: skip
        return
    told = list(modes.judge(state))
    yield from told or [good(f"{state.root}: this user's alone; its sockets' paths are short"
                             f" enough ({length} of {MAX_SOCKET_PATH} bytes)")]  # fmt: skip


def closed(root: Path, error: OSError) -> Finding:
    """``error``: what came of looking into the folder."""
    fix, quoted = "", shlex.quote(str(root))
    with contextlib.suppress(OSError):
        if (info := root.stat()).st_uid == os.getuid():
            is_folder = stat.S_ISDIR(info.st_mode)
            fix = f"chmod u+rwx {quoted}" if is_folder else f"mv {quoted} {quoted}.old"
    return fail(f"{root}: {error.strerror}", "no host can run on it, and nothing more can be told",
               fix, advice="" if fix else "run as its owner, or set RAFTSUP_STATE_DIR to another"
               " folder")  # fmt: skip


def foreign(root: Path, uid: int, file: str) -> Finding:
    """A folder of the user ``uid``, who has another environment than we: nothing that we find of
    the config, the CLI or the profiles is his.
    """
    try:
        whose = pwd.getpwuid(uid).pw_name
    except KeyError:
        whose = f"#{uid}"
    places = shlex.join(["--state-dir", str(root), *(["--config", file] if Path(file).exists()
                                                     else [])])  # fmt: skip
    return fail(f"{root} belongs to uid {uid} ({whose}), this is uid {os.getuid()}",
               "only its owner can run the host; what is found as another is not so for it",
               f"sudo -u {shlex.quote(whose)} raftsup doctor {places}")  # fmt: skip


def too_long(root: Path, length: int) -> Finding:
    return fail(
        f"{root}: its sockets' paths would be {length} bytes long, this system takes"
        f" {MAX_SOCKET_PATH}",
        "no host can start on it",
        _ELSEWHERE,
        advice="or another short path",
    )


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
    for folder in (state.root, state.reports, state.agents):
        yield from folder.glob(files.UNFINISHED)


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
        lock = lockfile.take(state.lock)
    except lockfile.Held as held:
        raise NotFixed(f"a host has started meanwhile: pid {held.pid}") from None
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
    fix = f"du -xh {shlex.quote(place)} | sort -h | tail"
    advice = "that shows what takes the room: remove or move what is not needed"
    if inodes is not None and inodes < _INODES:
        return fail(f"{place}: its disk can take {inodes} more files",
                   "no turn can start without its transcript", fix, advice=advice)  # fmt: skip
    if free < _LITTLE:
        return fail(shown, "wakes are refused (Raft sends them again) and no turn starts", fix,
                   advice=advice)  # fmt: skip
    if free < _SCARCE:
        return warning(shown, "at the end of it wakes are refused and no turn starts", fix,
                       advice=advice)  # fmt: skip
    return good(shown)
