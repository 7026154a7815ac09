"""A dispatcher in this process for tests: a real ledger, and agents that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from raftsup.config.model import Account, Agent, CommandAgent, Config, Dedupe, Turns
from raftsup.dispatcher.dispatcher import Dispatcher
from raftsup.ledger import Ledger, open_ledger
from raftsup.paths import StateDir
from raftsup.runners.base import AttemptSpec, Stop
from raftsup.turn import Outcome, OutcomeKind, State, Turn
from raftsup.wait import first_of
from raftsup.wake import Wake

DONE = Outcome(OutcomeKind.SUCCEEDED)


def failed(reason: str) -> Outcome:
    return Outcome(OutcomeKind.FAILED, reason)


AGENT = CommandAgent(("agent",))


def account(
    name: str, lane: str | None = None, *, enabled: bool = True, agent: Agent | None = AGENT
) -> Account:
    return Account(name, enabled, f"{name}-profile", None, ("raft",), agent, lane or name)


def config(*accounts: Account, **turns: Any) -> Config:
    # Without a pause the next attempt follows at once.
    return Config(None, accounts, turns=Turns(**{"pause": 0.0, "max_pause": 0.0, **turns}))


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.001)


@dataclass
class Agents:
    """The runner of every account: notes what begins, and ends it when the test says so."""

    #: (turn, attempt) in the order in which they began.
    begun: list[tuple[int, int]] = field(default_factory=list)
    open: dict[int, asyncio.Future[Outcome]] = field(default_factory=dict)
    together: list[set[int]] = field(default_factory=list)
    #: Ends every run of a turn at once, where it gives an outcome.
    reply: Callable[[AttemptSpec], Outcome | None] = lambda work: None
    #: By lane: why its agent cannot be had.
    away: dict[str, str] = field(default_factory=dict)
    #: What a run's handle begins with, where runs go on without their dispatcher.
    elsewhere: str = ""
    works: list[AttemptSpec] = field(default_factory=list)

    def serve(self, accounts: Iterable[Account]) -> None:
        pass

    @contextlib.contextmanager
    def lent(self, account: Account) -> Iterator[Agents]:
        yield self

    def unavailable(self, account: Account | None = None) -> str:
        return self.away.get(account.lane, "") if account else ""

    async def close(self) -> None:
        pass

    async def run(self, work: AttemptSpec, stop: Stop) -> Outcome:
        turn = work.turn.id
        assert turn not in self.open, "two attempts of one turn at once"
        self.begun.append((turn, work.turn.attempt))
        self.works.append(work)
        if self.elsewhere and not work.handle:
            await work.remember(f"{self.elsewhere}:{turn}.{work.turn.attempt}")
        if outcome := self.reply(work):
            return outcome
        self.open[turn] = asyncio.get_running_loop().create_future()
        self.together.append(set(self.open))
        try:
            await first_of(self.open[turn], stop)
            if self.open[turn].done():
                return self.open[turn].result()
            if self.elsewhere and stop.result() is OutcomeKind.INTERRUPTED:
                return Outcome(OutcomeKind.LEFT_RUNNING, "it goes on")
            return Outcome(stop.result(), "the agent ended when asked")
        finally:
            del self.open[turn]

    def end(self, turn: int, outcome: Outcome = DONE) -> None:
        self.open[turn].set_result(outcome)

    def order(self) -> list[int]:
        return [turn for turn, _ in self.begun]


@dataclass
class Host:
    ledger: Ledger
    state: StateDir
    agents: Agents = field(default_factory=Agents)
    clock: float = 1_800_000_000.0
    #: By account: why it is cut off from Raft.
    cut_off: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, object]] = field(default_factory=list)

    def dispatcher(self, config: Config) -> Dispatcher:
        """A dispatcher that just started. A second one stands for a restart."""
        before = self.agents
        self.agents = Agents(reply=before.reply, away=before.away, elsewhere=before.elsewhere)
        dispatcher = Dispatcher(
            config,
            self.ledger,
            self.state,
            {},
            pool=self.agents,
            publish=self.events.append,
            cut_off=lambda account: self.cut_off.get(account, ""),
            now=lambda: self.clock,
            retry_s=0.001,
        )
        dispatcher.begin()
        return dispatcher

    def owe(self, *accounts: str) -> list[int]:
        def accept(name: str) -> int:
            identity = os.urandom(8).hex()
            return self.ledger.accept(
                name, Wake(identity, None), now=self.clock, limits=Dedupe(), coalesce=False
            ).turn

        return [accept(name) for name in accounts]

    def turn(self, number: int) -> Turn:
        return self.ledger.get(number)

    async def reaches(self, number: int, state: State) -> None:
        await until(lambda: self.turn(number).state is state)

    async def runs(self, *turns: int) -> None:
        await until(lambda: set(self.agents.open) == set(turns))


@contextlib.contextmanager
def hosting(folder: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Host]:
    """A host on ``folder``; at its end the ledger is sound and no dispatcher broke."""
    caplog.set_level(logging.INFO, "raftsup")
    state = StateDir(folder / "s")
    state.prepare()
    ledger = open_ledger(state.ledger, 1 << 24)
    yield Host(ledger, state)
    assert ledger.verify() == []
    ledger.close()
    said = [record.getMessage() for record in caplog.get_records("call")]
    assert not [text for text in said if "dispatcher.broke" in text]


def story(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run
