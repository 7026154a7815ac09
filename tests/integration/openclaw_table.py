"""A runner's place before the fake Gateway, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from raftsup.backoff import Backoff
from raftsup.config.model import OpenClawAgent
from raftsup.paths import StateDir
from raftsup.runners.base import AttemptSpec, RunnerContext, Step, Stop
from raftsup.runners.openclaw.connection_pool import Gateways
from raftsup.runners.openclaw.runner import OpenClawRunner
from raftsup.runners.openclaw.timings import Timings
from raftsup.turn import Outcome, OutcomeKind, State, Turn
from tests.integration.fake_gateway import TOKEN, FakeGateway, Manner, fake_gateway

NOTICE = "the-notice: read your messages"
SESSION = "agent:main:raft:support"
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED)


#: Nobody waits for as long as in life.
QUICK = Timings(backoff=Backoff(0.01, 0.02), slow=0.02, settle=0.05, look=0.02, wait=0.5, abort=0.6)


@dataclass
class Table:
    """A fake Gateway, and whatever sits at it."""

    fake: FakeGateway
    state: StateDir
    gateways: Gateways
    #: What was remembered, in order, with the runs that had been asked for by then.
    remembered: list[tuple[str, int]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    changes: int = 0
    seats: list[OpenClawRunner] = field(default_factory=list)

    def agent(self, **more: Any) -> OpenClawAgent:
        return OpenClawAgent(**{"url": f"ws://127.0.0.1:{self.fake.port}", "token": TOKEN, **more})

    def changed(self) -> None:
        self.changes += 1

    def seat(self, lane: str = "support", **more: Any) -> OpenClawRunner:
        taken = RunnerContext(self.agent(**more), lane, {}, self.state, self.changed)
        self.seats.append(OpenClawRunner(taken, self.gateways))
        return self.seats[-1]

    async def leave(self, seat: OpenClawRunner) -> None:
        self.seats.remove(seat)
        await seat.close()

    async def remember(self, handle: str) -> None:
        self.remembered.append((handle, len(self.fake.said("agent"))))

    @property
    def handle(self) -> str:
        return self.remembered[-1][0]

    def work(self, handle: str = "", number: int = 7) -> AttemptSpec:
        return AttemptSpec(
            Turn(number, "support", State.RUNNING, attempt=2),
            "support",
            NOTICE,
            self.state.transcript(number, 2),
            10_000,
            {},
            seconds=90.0,
            remember=self.remember,
            handle=handle,
            report=self.steps.append,
        )

    def said(self, number: int = 7) -> str:
        return self.state.transcript(number, 2).read_text()


@dataclass
class Riding:
    """A turn under way."""

    task: asyncio.Task[Outcome]
    stop: Stop

    async def outcome(self) -> Outcome:
        return await asyncio.wait_for(self.task, 10)

    async def stopped(self, kind: OutcomeKind) -> Outcome:
        self.stop.set_result(kind)
        return await self.outcome()


def ride(seat: OpenClawRunner, work: AttemptSpec) -> Riding:
    stop: Stop = asyncio.get_running_loop().create_future()
    return Riding(asyncio.create_task(seat.run(work, stop)), stop)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.002)


async def begun(table: Table, count: int = 1) -> None:
    """Wait until so many runs were begun."""
    await until(lambda: table.fake.begun.total() >= count)


@contextlib.asynccontextmanager
async def laid(
    state: StateDir,
    manner: Manner | None = None,
    tls: ssl.SSLContext | None = None,
    timings: Timings = QUICK,
) -> AsyncIterator[Table]:
    async with fake_gateway(tls) as fake:
        fake.manner = manner or Manner()
        # What calls ``changed`` is the pool's; it goes to the table that is being laid.
        gateways = Gateways(state.device_key, lambda: table.changed(), timings)
        table = Table(fake, state, gateways)
        try:
            yield table
        finally:
            for seat in list(table.seats):
                await table.leave(seat)


def play(story: Coroutine[Any, Any, None], seconds: float = 20.0) -> None:
    asyncio.run(asyncio.wait_for(story, seconds))
