"""Finding what a killed shim let go: processes that carry the marks of one attempt, or of the
agent that stays in a lane.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import psutil

#: The environment variables that together name one attempt of one host. Every process of the
#: attempt has them, unless it cleaned its environment itself.
MARKS = ("RAFTSUP_STATE_DIR", "RAFTSUP_TURN", "RAFTSUP_ATTEMPT")
#: The same for an agent that stays from turn to turn.
LANE_MARKS = ("RAFTSUP_STATE_DIR", "RAFTSUP_LANE")
#: Seconds that the kernel is given to bury the killed before the next look.
_BURIAL = 0.005


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


async def until_none(marks: Mapping[str, str]) -> list[int]:
    """Return, with the pids of the killed, once no process carries ``marks`` any more."""
    killed: set[int] = set()
    while found := kill_marked(marks):
        killed.update(found)
        await asyncio.sleep(_BURIAL)
    return sorted(killed)
