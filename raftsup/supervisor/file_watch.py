"""When a file that people edit has changed and may be read: a pure rule over looks at it.

Editors write in pieces, or rename a new file into place: a change counts once the file has been
still for a moment. A file that cannot be used may be half written: it gets a longer moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from raftsup.config.errors import ConfigError

#: Seconds that a file must be still before it is read, and before what is wrong with it counts.
SETTLE_S = 0.4
BROKEN_S = 2.0
_POLL_S = 0.1

#: Device, inode, size, times of content and inode in ns; None: there is no such file.
Print = tuple[int, int, int, int, int] | None


class Do(StrEnum):
    WAIT = "wait"
    #: Read it; what is wrong with it is no news yet.
    TRY = "try"
    #: Read it; what is wrong with it now stays.
    READ = "read"


@dataclass(frozen=True)
class Watched:
    """A file and what was done about it. Times are seconds of one monotonic clock."""

    seen: Print
    since: float
    tried: bool = False
    #: ``seen`` was read and told about.
    done: bool = False


def look(path: Path) -> Print:
    """What tells one content of the file from another, through symbolic links."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def step(watched: Watched, seen: Print, now: float) -> tuple[Do, Watched]:
    """What to do after a look that found ``seen``. After a reading that worked: ``finished``."""
    if seen != watched.seen:
        return Do.WAIT, Watched(seen, now)
    still = now - watched.since
    if watched.done or still < SETTLE_S:
        return Do.WAIT, watched
    if still >= BROKEN_S:
        return Do.READ, replace(watched, done=True)
    # A file that is missing is about to be renamed into place, or is gone for good.
    if watched.tried or seen is None:
        return Do.WAIT, watched
    return Do.TRY, replace(watched, tried=True)


def finished(watched: Watched) -> Watched:
    """The content that was seen last needs no further reading."""
    return replace(watched, done=True)


def await_whole(
    load: Callable[[], object],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once the file can be used, or has been broken for a while; blocks meanwhile."""
    deadline = now() + BROKEN_S
    while now() < deadline:
        try:
            load()
        except ConfigError:
            sleep(_POLL_S)
        else:
            return
