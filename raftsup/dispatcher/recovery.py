"""Making sure that nothing of a dead predecessor's attempt runs any more, or taking it up.

Its shims end everything within milliseconds of its death; this is the proof of it, and what
happens when a shim was killed as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from raftsup.config.model import Agent
from raftsup.runners.leftovers import kill_marked, kill_shims_holding, until_none
from raftsup.runners.transcript import is_free
from raftsup.turn import Turn

#: Seconds given to the shims before their work is done for them.
GRACE_S = 3.0
_POLL_S = 0.02


def can_take_up(turn: Turn, agent: Agent | None) -> bool:
    """Whether the attempt's run may go on without its dispatcher, and ``agent``'s runner can find
    it again. A handle begins with the kind of agent that it is for.
    """
    return agent is not None and turn.handle.partition(":")[0] == agent.kind


async def until_free(
    transcript: Path, marks: Mapping[str, str], report: Callable[[str], None]
) -> None:
    """Return once no process holds ``transcript``'s lock and none carries ``marks``.

    ``marks``: environment variables that every process of the attempt carries; those that still
    carry them when the lock is free, or after ``GRACE_S``, are killed. ``report`` is told, in
    words, when it comes to that.
    """
    deadline = time.monotonic() + GRACE_S
    while not _is_free(transcript, report):
        if time.monotonic() > deadline:
            killed = [*kill_marked(marks), *kill_shims_holding(transcript)]
            report(
                f"{transcript} is still locked by what a dead dispatcher left;"
                f" killed {killed or 'nothing'}"
            )
            deadline = time.monotonic() + GRACE_S
        await asyncio.sleep(_POLL_S)
    # A process that left the group and closed what it inherited holds no lock: if its shim was
    # killed too, only its environment tells.
    if left := await until_none(marks):
        report(f"a dead dispatcher's shim was killed as well; killed what it left: {left}")


def _is_free(transcript: Path, report: Callable[[str], None]) -> bool:
    try:
        return is_free(transcript)
    except OSError as error:
        report(f"cannot look whether {transcript} is locked: {error.strerror}")
        return False
