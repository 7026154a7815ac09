"""What a dead dispatcher left running: found by its marks, waited for by its locks, and killed.

A lane's lock is a ``flock`` that the agent's process, its shim and all that it started inherit: it
is free when they are gone. What closed the lock, or was let go by a killed shim, is found by the
marks in its environment: those of one attempt, or of the agent that stays in a lane.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from raftsup.proc import lockfile

#: The environment variables that together name one attempt of one host. Every process of the
#: attempt has them, unless it cleaned its environment itself.
MARKS = ("RAFTSUP_STATE_DIR", "RAFTSUP_TURN", "RAFTSUP_ATTEMPT")
#: The same for an agent that stays from turn to turn.
LANE_MARKS = ("RAFTSUP_STATE_DIR", "RAFTSUP_LANE")
#: Seconds that the kernel is given to bury the killed before the next look.
_BURIAL = 0.005
#: Seconds that the shims of a dead dispatcher are given before their work is done for them.
TIMEOUT_S = 3.0
_POLL_S = 0.02


def marks_in(env: Mapping[str, str]) -> dict[str, str]:
    return {name: env[name] for name in MARKS if name in env}


def kill_marked(marks: Mapping[str, str]) -> list[int]:
    """Kill every process of this user whose environment carries all of ``marks``; their pids."""
    if set(marks) not in (set(MARKS), set(LANE_MARKS)):
        # Fewer would hit others.
        raise ValueError(f"marks are {', '.join(MARKS)}; or {', '.join(LANE_MARKS)}")
    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if marks.items() <= process.environ().items():
                process.kill()
                killed.append(process.pid)
    return killed


def kill_shims_holding(path: Path) -> list[int]:
    """Kill the shims of this user that keep ``path`` open: one that a signal stopped outlives its
    owner, and what it keeps locked. Their pids.
    """
    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            title = "" if process.pid == os.getpid() else "".join(process.cmdline()[:1])
            holds = title.startswith("raftsup: ") and process.open_files()
            if holds and str(path) in (file.path for file in holds):
                process.kill()
                killed.append(process.pid)
    return killed


async def until_none(marks: Mapping[str, str]) -> list[int]:
    """Return, with the pids of the killed, once no process carries ``marks`` any more."""
    killed: set[int] = set()
    while found := kill_marked(marks):
        killed.update(found)
        await asyncio.sleep(_BURIAL)
    return sorted(killed)


async def take_lane(path: Path, marks: Mapping[str, str], report: Callable[[str], None]) -> int:
    """Wait until no process of the lane runs, and lock ``path``; the descriptor, to hand on.

    ``report`` is told, in words, when something had to be killed for it. Raises ``OSError`` if
    the file cannot be opened.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not lockfile.try_lock(descriptor):
            if time.monotonic() > deadline:
                killed = [*kill_marked(marks), *kill_shims_holding(path)]
                report(f"{path} is locked by an older agent; killed {killed or 'nothing'}")
                deadline = time.monotonic() + TIMEOUT_S
            await asyncio.sleep(_POLL_S)
        if left := await until_none(marks):
            report(f"an older agent's shim was killed; killed what it left: {left}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
