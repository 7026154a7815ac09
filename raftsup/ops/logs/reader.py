"""Reading the logs of a state folder: the last records, and those that come."""

from __future__ import annotations

import contextlib
import heapq
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from raftsup.ops.logs import files as logs_files
from raftsup.ops.logs import record as logs_record
from raftsup.ops.logs.record import Record, Source, Wanted
from raftsup.paths import StateDir, StateDirError
from raftsup.supervisor import active_accounts
from raftsup.terminal import stamp

#: Seconds between two looks at what is followed.
LOOK_EVERY = 0.2


def programs(state: StateDir) -> dict[Source, Path]:
    """The log of each program that ever ran here. Raises ``StateDirError``."""
    if not state.logs.is_dir():
        raise StateDirError(
            f"there are no logs in {state.root}: no host has run on this state folder; start one"
            " with `raftsup up`, or name another with --state-dir or RAFTSUP_STATE_DIR"
        )
    return {logs_record.source_of(path.name): path for path in logs_files.bases(state.logs)}


def accounts(state: StateDir) -> list[str]:
    """The accounts of the last host here, and those that have a log. Raises ``StateDirError``."""
    logged = {source.account for source in programs(state) if source.account}
    return sorted(logged | {account.id for account in active_accounts.read(state) or ()})


@dataclass(frozen=True)
class Mark:
    """How far a program's log has been read: a file, and the bytes of it."""

    file: logs_files.Identity
    offset: int


def last(
    state: StateDir,
    wanted: Wanted,
    most: int | None,
    until: Mapping[Source, Mark] | None = None,
) -> list[Record]:
    """The newest ``most`` records that are wanted, oldest first; None: all of them.

    ``until``: nothing beyond these marks, nothing of programs without one.
    """
    with contextlib.ExitStack() as stack:
        streams = []
        for source, path in programs(state).items():
            files = logs_files.open_chain(path)
            stack.callback(logs_files.close, files)
            mark = None
            if until is not None:
                mark = until.get(source)
                _drop_newer(files, mark)
            lines = logs_files.lines_backwards(files, mark.offset if mark else None)
            oldest = stamp(os.fstat(files[0]).st_mtime if files else 0.0)
            records = logs_record.backwards(lines, source, oldest)
            # Within a program time runs forward: what stands before an old record is old.
            streams.append(takewhile(lambda record: record.at >= wanted.since, records))
        merged = heapq.merge(*streams, key=lambda record: record.key, reverse=True)
        return list(islice(filter(wanted, merged), most))[::-1]


def _drop_newer(files: list[int], mark: Mark | None) -> None:
    """Close what is newer than the mark's file."""
    while files and (mark is None or logs_files.identity(os.fstat(files[0])) != mark.file):
        os.close(files.pop(0))


def follow(
    state: StateDir,
    wanted: Wanted,
    most: int | None,
    show: Callable[[list[Record]], None],
    wait: Callable[[float], bool],
) -> None:
    """Show the last ``most`` records, then every one as it comes, until ``wait``, which gets the
    seconds to the next look, says True. Survives rotations, restarts, new and removed accounts.
    """
    tails = {source: Tail(path, source) for source, path in programs(state).items()}
    try:
        marks = {source: mark for source, tail in tails.items() if (mark := tail.mark())}
        show(last(state, wanted, most, marks))
        while not wait(LOOK_EVERY):
            for path in logs_files.bases(state.logs):
                source = logs_record.source_of(path.name)
                if source not in tails:
                    tails[source] = Tail(path, source, begin=True)
            new = [record for tail in tails.values() for record in tail.read()]
            show(sorted(filter(wanted, new), key=lambda record: record.key))
    finally:
        for tail in tails.values():
            tail.close()


class Tail:
    """The end of one program's log. ``begin``: read it from its beginning, it is new."""

    def __init__(self, path: Path, source: Source, *, begin: bool = False) -> None:
        self._path, self._source = path, source
        self._file: int | None = None
        self._last: Record | None = None
        self._rest = b""
        self._offset = 0
        if not begin and (files := logs_files.open_chain(path)):
            logs_files.close(files[1:])
            self._file = files[0]
            self._offset = logs_files.end_of_lines(self._file)

    def mark(self) -> Mark | None:
        """How far it is read; None if there was nothing to read."""
        if self._file is None:
            return None
        return Mark(logs_files.identity(os.fstat(self._file)), self._offset)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def read(self) -> list[Record]:
        """The records that have come since the last call, oldest first."""
        data = self._rest + self._read_current()
        for file in self._newer():
            self.close()
            self._file, self._offset = file, 0
            data += self._read_current()
        whole, newline, self._rest = data.rpartition(b"\n")
        if not newline:
            return []
        lines = [line.decode(errors="replace") for line in whole.split(b"\n")]
        now = stamp(time.time())
        found = logs_record.forwards(lines, self._source, self._last, now)
        self._last = found[-1]
        return found

    def _read_current(self) -> bytes:
        if self._file is None:
            return b""
        size = os.fstat(self._file).st_size
        if size < self._offset:  # emptied in place
            self._offset, self._rest = 0, b""
        data = (
            os.pread(self._file, size - self._offset, self._offset) if size > self._offset else b""
        )
        self._offset += len(data)
        return data

    def _newer(self) -> list[int]:
        """The files begun since the one that is being read, oldest first, opened."""
        mine = None if self._file is None else logs_files.identity(os.fstat(self._file))
        try:
            if logs_files.identity(self._path.stat()) == mine:
                return []
        except FileNotFoundError:
            return []
        newer: list[int] = []
        files = logs_files.open_chain(self._path)
        for number, file in enumerate(files):
            # None of them: it is rotated away, or there was none; then all are newer.
            if logs_files.identity(os.fstat(file)) == mine:
                logs_files.close(files[number:])
                break
            newer.append(file)
        return newer[::-1]
