"""How a turn is run: one file a kind of agent, behind the ``Runner`` protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from raftsup.turn import Outcome, OutcomeKind, Turn

#: Why a run must end before its time: TIMED_OUT, CANCELLED or INTERRUPTED. A runner that sees it
#: resolved ends its run, wholly, and gives that kind back as the outcome.
Stop = asyncio.Future[OutcomeKind]


@dataclass(frozen=True)
class Work:
    """One attempt, with all that a runner may know of it."""

    turn: Turn
    profile: str
    notice: str
    #: Where the attempt's output goes. Its lock is held as long as anything of the attempt runs.
    transcript: Path
    #: The transcript's size limit in bytes.
    limit: int
    #: The clean environment of this turn.
    env: Mapping[str, str]


class Runner(Protocol):
    """One attempt at a turn, from start to end."""

    async def run(self, work: Work, stop: Stop) -> Outcome:
        """Run ``work``; when this returns nothing of it runs any more.

        Never raises for what the agent does: that is an ``Outcome``.
        """
