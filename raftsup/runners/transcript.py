"""An attempt's transcript: what the agent printed, bounded, private, locked while it runs."""

from __future__ import annotations

import os
from pathlib import Path

from raftsup.errors import RaftsupError
from raftsup.proc import lockfile
from raftsup.turn import Outcome, OutcomeKind


class TranscriptBusy(RaftsupError):
    """Something of an attempt with this transcript still runs."""


def open_locked(path: Path) -> int:
    """Open ``path`` for writing (0600) and lock it; the descriptor.

    The lock belongs to the open file: it is held until every process that inherited the
    descriptor is gone. Raises ``TranscriptBusy`` if it is held.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if lockfile.try_lock(descriptor):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise TranscriptBusy(str(path))


def locked(path: Path) -> int | Outcome:
    """``open_locked``, or why the attempt cannot begin: that is the host's trouble."""
    try:
        return open_locked(path)
    except TranscriptBusy:
        return Outcome(OutcomeKind.POSTPONED, f"{path}: an attempt still runs")
    except OSError as error:
        return Outcome(OutcomeKind.POSTPONED, f"cannot write {path}: {error.strerror}")


def is_free(path: Path) -> bool:
    """Whether nothing of the attempt with this transcript runs any more. Makes no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        return lockfile.try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


class Bounded:
    """Writes the beginning and the end of a stream; drops the middle of a long one."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor = descriptor
        self._head = limit // 2
        self._tail_limit = limit - self._head
        self._tail = bytearray()
        self._dropped = 0

    def write(self, data: bytes) -> None:
        head, rest = data[: self._head], data[self._head :]
        if head:
            _write_all(self._descriptor, head)
            self._head -= len(head)
        self._tail += rest
        if len(self._tail) > 2 * self._tail_limit:
            self._trim()

    def close(self) -> None:
        """Write what is held back. The descriptor stays the caller's."""
        self._trim()
        if self._dropped:
            _write_all(self._descriptor, b"\n[... %d bytes left out ...]\n" % self._dropped)
        _write_all(self._descriptor, bytes(self._tail))
        self._tail.clear()

    def _trim(self) -> None:
        over = len(self._tail) - self._tail_limit
        if over > 0:
            del self._tail[:over]
            self._dropped += over


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
