"""Which runner takes an account's turns, and how long it lives."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from raftsup.config.model import (
    Account,
    AcpAgent,
    Agent,
    CommandAgent,
    OpenAIAgent,
    OpenClawAgent,
)
from raftsup.paths import StateDir
from raftsup.runners.base import AttemptSpec, Runner, Stop
from raftsup.runners.command import CommandRunner
from raftsup.runners.registry import RunnerRegistry
from raftsup.turn import Outcome

ONE, OTHER = CommandAgent(("one",)), CommandAgent(("other",))


class Noted:
    """A runner that only lives and is closed."""

    def __init__(self, lane: str, agent: Agent) -> None:
        self.lane, self.agent, self.closed, self.reason = lane, agent, 0, ""

    async def run(self, work: AttemptSpec, stop: Stop) -> Outcome:
        raise NotImplementedError

    def unavailable(self) -> str:
        return self.reason

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


class NotingPool(RunnerRegistry):
    def __init__(self) -> None:
        super().__init__(StateDir(Path("s")), {}, lambda: None)
        self.opened: list[Noted] = []

    def _open(self, lane: str, agent: Agent) -> Runner:
        self.opened.append(Noted(lane, agent))
        return self.opened[-1]


def account(
    name: str, agent: Agent | None = ONE, lane: str | None = None, *, enabled: bool = True
) -> Account:
    return Account(name, enabled, name, None, ("raft",), agent, lane or name)


def story(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


async def closed(runner: Noted) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return bool(runner.closed)


@story
async def test_accounts_that_share_lane_and_agent_share_a_runner() -> None:
    pool = NotingPool()
    pool.serve([account("a", lane="x"), account("b", lane="x"), account("c", OTHER, "x")])
    assert [(r.lane, r.agent) for r in pool.opened] == [("x", ONE), ("x", OTHER)]
    with pool.lent(account("a", lane="x")) as first, pool.lent(account("b", lane="x")) as second:
        assert first is second
    with pool.lent(account("c", OTHER, "x")) as third:
        assert third is not first


@story
async def test_accounts_of_two_lanes_never_share_a_runner() -> None:
    pool = NotingPool()
    pool.serve([account("a"), account("b")])
    assert [r.lane for r in pool.opened] == ["a", "b"]


@story
async def test_a_runner_is_kept_from_one_turn_to_the_next() -> None:
    pool = NotingPool()
    pool.serve([account("a")])
    for _ in range(3):
        with pool.lent(account("a")) as runner:
            assert runner is pool.opened[0]
    assert len(pool.opened) == 1
    assert not await closed(pool.opened[0])


@story
async def test_agents_are_ready_before_the_first_turn_but_those_of_accounts_that_run() -> None:
    pool = NotingPool()
    pool.serve([account("a"), account("off", enabled=False), account("none", None, enabled=False)])
    assert [r.lane for r in pool.opened] == ["a"]


@story
async def test_an_unchanged_account_keeps_its_runner_when_the_config_changes() -> None:
    pool = NotingPool()
    pool.serve([account("a"), account("b")])
    pool.serve([account("a"), account("b", OTHER)])
    assert not await closed(pool.opened[0])
    assert await closed(pool.opened[1])


@story
async def test_a_runner_is_let_go_of_only_after_its_last_turn() -> None:
    pool = NotingPool()
    pool.serve([account("a")])
    with pool.lent(account("a")) as first, pool.lent(account("a")):
        pool.serve([account("a", OTHER)])
        assert not await closed(pool.opened[0])
        with pool.lent(account("a", OTHER)) as second:
            assert second is not first
        assert not await closed(pool.opened[0])
    assert await closed(pool.opened[0])
    assert pool.opened[0].closed == 1
    assert not await closed(pool.opened[1])


@story
async def test_a_change_that_is_taken_back_before_the_turns_end_changes_nothing() -> None:
    pool = NotingPool()
    pool.serve([account("a")])
    with pool.lent(account("a")) as first:
        pool.serve([account("a", OTHER)])
        pool.serve([account("a")])
        with pool.lent(account("a")) as second:
            assert second is first
    assert not await closed(pool.opened[0])
    assert await closed(pool.opened[1])


@story
async def test_a_runner_of_an_account_that_does_not_run_goes_with_the_next_config() -> None:
    off = account("a", enabled=False)
    pool = NotingPool()
    pool.serve([off])
    with pool.lent(off):  # a run that a predecessor had begun
        pass
    pool.serve([off])
    assert await closed(pool.opened[0])


@story
async def test_a_turn_that_breaks_gives_its_runner_back() -> None:
    pool = NotingPool()
    pool.serve([account("a")])
    with pytest.raises(RuntimeError), pool.lent(account("a")):
        pool.serve([])
        raise RuntimeError
    assert await closed(pool.opened[0])


@story
async def test_why_an_agent_cannot_be_had_is_its_runners_word() -> None:
    pool = NotingPool()
    pool.serve([account("a"), account("b")])
    pool.opened[0].reason = "the Gateway does not answer"
    assert pool.unavailable(account("a")) == "the Gateway does not answer"
    assert pool.unavailable(account("b")) == ""


@story
async def test_the_end_closes_every_runner_once_also_those_that_are_just_closing() -> None:
    pool = NotingPool()
    pool.serve([account("a"), account("b"), account("c")])
    pool.serve([account("a"), account("b")])
    await pool.close()
    assert [r.closed for r in pool.opened] == [1, 1, 1]


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (ONE, "CommandRunner"),
        (OpenClawAgent("ws://127.0.0.1:1"), "OpenClawRunner"),
        (AcpAgent(("agent",)), "AcpRunner"),
        (OpenAIAgent("http://127.0.0.1:1/v1", "m"), "OpenAIRunner"),
    ],
)
def test_each_kind_of_agent_has_its_runner(tmp_path: Path, agent: Agent, name: str) -> None:
    state = StateDir(tmp_path / "s")
    state.prepare()

    async def open_one() -> Any:
        pool = RunnerRegistry(state, {}, lambda: None)
        with pool.lent(account("a", agent)) as runner:
            await pool.close()
            return runner

    runner = asyncio.run(open_one())
    assert type(runner).__name__ == name
    assert isinstance(runner, CommandRunner) == (agent is ONE)
