"""One agent process in a lane at a time, also across a dispatcher's death.

The lock is a ``flock`` that the process, its shim and all that it started inherit: it is free
when they are gone. What closed the lock is found by the marks in its environment.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from raftsup.proc import lockfile
from raftsup.runners import leftovers

#: Seconds that the shims of a dead dispatcher are given before their work is done for them.
PATIENCE = 3.0
_EVERY = 0.02


async def take(path: Path, marks: Mapping[str, str], report: Callable[[str], None]) -> int:
    """Wait until no process of the lane runs, and lock ``path``; the descriptor, to hand on.

    ``report`` is told, in words, when something had to be killed for it. Raises ``OSError`` if
    the file cannot be opened.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE
        while not lockfile.try_lock(descriptor):
            if time.monotonic() > deadline:
                killed = leftovers.kill_marked(marks)
                report(f"{path} is locked by an older agent; killed {killed or 'nothing'}")
                deadline = time.monotonic() + PATIENCE
            await asyncio.sleep(_EVERY)
        if left := await leftovers.until_none(marks):
            report(f"an older agent's shim was killed; killed what it left: {left}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
