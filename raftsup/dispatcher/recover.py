"""Making sure that nothing of a dead predecessor's attempt runs any more.

Its keepers end everything within milliseconds of its death; this is the proof of it, and what
happens when a keeper was killed as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from raftsup.runners.transcript import is_free

#: Seconds given to the keepers before their work is done for them.
PATIENCE = 3.0
_EVERY = 0.02


async def until_free(
    transcript: Path, marks: Mapping[str, str], report: Callable[[str], None]
) -> None:
    """Return once no process holds ``transcript``'s lock.

    ``marks``: environment variables that every process of the attempt carries; those that still
    carry them after ``PATIENCE`` are killed. ``report`` is told, in words, when it takes longer.
    """
    deadline = time.monotonic() + PATIENCE
    while not is_free(transcript):
        if time.monotonic() > deadline:
            killed = kill_marked(marks)
            report(
                f"{transcript} is still locked by what a dead dispatcher left;"
                f" killed {killed or 'nothing'}"
            )
            deadline = time.monotonic() + PATIENCE
        await asyncio.sleep(_EVERY)


def kill_marked(marks: Mapping[str, str]) -> list[int]:
    """Kill every process of this user whose environment carries all of ``marks``; their pids."""
    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if marks.items() <= process.environ().items():
                process.kill()
                killed.append(process.pid)
    return killed
