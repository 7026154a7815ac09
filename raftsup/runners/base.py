"""How a turn is run: one file a kind of agent, behind the ``Runner`` protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

from raftsup.config.model import Account, Agent
from raftsup.paths import StateDir
from raftsup.turn import Outcome, OutcomeKind, Turn

A = TypeVar("A", bound=Agent)

#: Why a run must end before its time: TIMED_OUT, CANCELLED or INTERRUPTED. A runner that sees it
#: resolved ends its run, wholly, and gives that kind back as the outcome. It may be resolved
#: before the run begins.
Stop = asyncio.Future[OutcomeKind]


@dataclass(frozen=True)
class Step:
    """Something that an agent was seen to do. Never what it said, read or wrote."""

    kind: Literal["thinking", "tool_started", "tool_ended"]
    #: A tool's name or kind, as a word that the agent's maker chose.
    tool: str = ""
    failed: bool = False


async def _not_kept(handle: str) -> None:
    pass


@dataclass(frozen=True)
class AttemptSpec:
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
    #: Seconds until ``stop`` says TIMED_OUT, for those who can hold a run to them themselves.
    seconds: float = 600.0
    #: Makes a handle durable: what is needed to find a run again that outlives this process.
    #: To be awaited before the run is started.
    remember: Callable[[str], Awaitable[None]] = _not_kept
    #: The handle of this very attempt, begun by a predecessor that died; "" where it begins now.
    handle: str = ""
    #: Takes what the agent is seen to do, for whoever watches. Never waits, never raises.
    report: Callable[[Step], None] = lambda step: None


@dataclass(frozen=True)
class RunnerContext(Generic[A]):
    """The place that a runner takes turns in, from one turn to the next."""

    agent: A
    lane: str
    #: The clean environment that a process of the seat starts from.
    env: Mapping[str, str]
    state: StateDir
    #: To be called when ``unavailable`` may have changed.
    changed: Callable[[], None] = lambda: None


class Runner(Protocol):
    """Takes the turns of one seat. It lives from the first of them until the config changes."""

    async def run(self, work: AttemptSpec, stop: Stop) -> Outcome:
        """Run ``work``; when this returns nothing of it runs any more, unless the outcome is
        LEFT_RUNNING.

        Never raises for what the agent does: that is an ``Outcome``.
        """

    def unavailable(self) -> str:
        """Why no turn can start now, in words for an operator; "" if one can."""

    async def close(self) -> None:
        """Let go of everything. No run is under way."""


class RunnerProvider(Protocol):
    """Who has the runners: ``runners.registry`` says what the methods do."""

    def serve(self, accounts: Iterable[Account]) -> None: ...

    def lent(self, account: Account) -> AbstractContextManager[Runner]: ...

    def unavailable(self, account: Account) -> str: ...


@dataclass(frozen=True)
class Finding:
    """What a live check of an agent found, in one sentence; a bad one says what to do."""

    good: bool
    text: str
