"""The files of a program's log, as one stream.

The parent rotates ``x.log`` to ``x.log.1`` and so on, wherever a piece of output happens to end,
also in the middle of a line (supervisor 4.3.0, ``RotatingFileHandler``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"(.+\.log)(?:\.\d+)?")
_BLOCK = 1 << 16
#: A file's device and inode.
Identity = tuple[int, int]


def bases(folder: Path) -> list[Path]:
    """The newest file of each program's log; also where only rotated ones are there."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    found = {match[1] for name in names if (match := _NAME.fullmatch(name))}
    return [folder / name for name in sorted(found)]


def open_chain(path: Path) -> list[int]:
    """A log and its rotated files, newest first, opened. Those that a rotation moves meanwhile
    are taken once: newest first, a file is met again rather than missed.
    """
    files: list[int] = []
    seen = set()
    number = 0
    while True:
        name = path if number == 0 else path.with_name(f"{path.name}.{number}")
        try:
            file = os.open(name, os.O_RDONLY)
        except FileNotFoundError:
            if number:
                return files
        else:
            own = identity(os.fstat(file))
            if own in seen:
                os.close(file)
            else:
                seen.add(own)
                files.append(file)
        number += 1


def close(files: list[int]) -> None:
    for file in files:
        os.close(file)


def identity(info: os.stat_result) -> Identity:
    return (info.st_dev, info.st_ino)


def end_of_lines(file: int) -> int:
    """The bytes of a file up to the end of its last whole line."""
    end = os.fstat(file).st_size
    while end:
        begin = max(0, end - _BLOCK)
        at = os.pread(file, end - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def lines_backwards(files: list[int], until: int | None) -> Iterator[str]:
    """The lines of ``files``, newest first, from the newest."""
    rest, ended = b"", False
    for block in _blocks_backwards(files, until):
        begin, *lines = (block + rest).split(b"\n")
        if not ended and lines[-1:] == [b""]:
            lines.pop()  # what stands after the last line's end
        ended = True
        yield from (line.decode(errors="replace") for line in reversed(lines))
        rest = begin
    if ended:
        yield rest.decode(errors="replace")


def _blocks_backwards(files: list[int], until: int | None) -> Iterator[bytes]:
    for number, file in enumerate(files):
        end = os.fstat(file).st_size
        if number == 0 and until is not None:
            end = min(end, until)
        while end > 0:
            begin = max(0, end - _BLOCK)
            yield os.pread(file, end - begin, begin)
            end = begin
