"""One holder at a time: a lock file that the kernel frees when its holder dies.

A pid file is no lock: it survives its process, and its pid may be somebody else's by then. The
file names its holder for people only. The lock belongs to the open file: whoever inherits the
descriptor holds it too.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path

from raftsup import exit_codes
from raftsup.errors import RaftsupError
from raftsup.wait import until

#: ``struct flock``, and where it has type and pid.
if sys.platform == "darwin":
    _FLOCK, _PID, _TYPE = struct.Struct("@qqihh"), 2, 3
else:
    _FLOCK, _PID, _TYPE = struct.Struct("@hhqqi4x"), 4, 0


class Held(RaftsupError):
    """Another process holds the lock."""

    exit_code = exit_codes.ALREADY_RUNNING

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"{path} is held by pid {pid or 'unknown'}")
        self.path = path
        self.pid = pid


def take(path: Path, wait: float = 0.1) -> int:
    """Hold ``path`` until this process ends; the descriptor, not inherited by exec.

    Waits at most ``wait`` seconds for another holder to go; raises ``Held`` then. A look at the
    lock (``holder``) takes it for a moment: that is what the default waits for.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    if not until(lambda: try_lock(descriptor), wait, 0.01):
        pid = _pid_in(descriptor)
        os.close(descriptor)
        raise Held(path, pid)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file or folder if nobody else has; ``shared``: together with others who do
    it so. Raises ``OSError``.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def try_own(descriptor: int) -> bool:
    """Lock an open file for this process if no other has: nobody inherits that, and closing any
    descriptor of the file ends it, as ``disown`` does. Raises ``OSError``.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def disown(descriptor: int) -> None:
    fcntl.lockf(descriptor, fcntl.LOCK_UN)


def owner(descriptor: int) -> int | None:
    """The pid of the other process that has locked an open file with ``try_own``; None: nobody,
    or one that cannot be seen from here.
    """
    fields = [0] * 5
    fields[_TYPE] = fcntl.F_WRLCK
    found = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, _FLOCK.pack(*fields)))
    return found[_PID] or None if found[_TYPE] != fcntl.F_UNLCK else None


def holder(path: Path) -> int | None:
    """The pid of the process that holds ``path`` now, or None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError):
        return None  # never held here, not this user's to know, or no lock at all
    try:
        # Shared, so that two who look do not see each other.
        return None if try_lock(descriptor, shared=True) else _pid_in(descriptor) or 0
    finally:
        os.close(descriptor)


def _pid_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
