"""Runs that go on without their dispatcher: the next one takes them up, or owes them again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup.config.model import Account, AcpAgent
from raftsup.dispatcher.dispatcher import Dispatcher
from raftsup.runners.transcript import open_locked
from raftsup.turn import LaneHealth, State
from tests.integration.dispatching import DONE, Host, account, config, hosting, story, until

SETTINGS = config(account("a"), timeout=600.0)


@pytest.fixture
def host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Host]:
    with hosting(tmp_path, caplog) as host:
        yield host


async def left(host: Host, *accounts: str) -> None:
    """Turns of these accounts, each left running by a dispatcher that was stopped."""
    host.agents.elsewhere = "command"
    turns = host.owe(*accounts)
    first = host.dispatcher(config(*map(account, dict.fromkeys(accounts)), timeout=600.0))
    await host.runs(*turns)
    await first.drain(0.01)


def handles(host: Host) -> list[str]:
    """The handles of the runs that this dispatcher's agents were given to go on with."""
    return [work.handle for work in host.agents.works]


# -- leaving


@story
async def test_a_run_that_goes_on_elsewhere_stays_running_with_its_handle(host: Host) -> None:
    await left(host, "a")
    turn = host.turn(1)
    assert (turn.state, turn.attempt, turn.handle) == (State.RUNNING, 1, "command:1.1")
    assert (turn.failures, turn.interruptions) == (0, 0)
    assert host.ledger.lane_health().get("a", LaneHealth()) == LaneHealth()
    assert host.events[-1]["event"] == "turn.left_running"
    assert host.events[-1]["reason"] == "it goes on"


@story
async def test_a_handle_is_on_disk_before_the_run_begins(host: Host) -> None:
    host.agents.elsewhere = "command"
    host.owe("a")
    host.dispatcher(SETTINGS)
    await host.runs(1)
    assert host.turn(1).handle == "command:1.1"
    assert handles(host) == [""]  # a new run has none to go on with
    host.agents.end(1)
    await host.reaches(1, State.DONE)
    assert host.turn(1).handle == ""


# -- taking up


@story
async def test_the_next_dispatcher_takes_a_run_up_with_its_handle_and_the_rest_of_its_time(
    host: Host,
) -> None:
    await left(host, "a")
    host.clock += 100
    host.dispatcher(SETTINGS)
    await host.runs(1)
    assert handles(host) == ["command:1.1"]
    assert host.agents.works[0].seconds == 500.0
    assert host.events[-1]["event"] == "turn.taken_up"
    host.agents.end(1)
    await host.reaches(1, State.DONE)
    turn = host.turn(1)
    assert host.agents.begun == [(1, 1)]
    assert (turn.attempt, turn.interruptions, turn.handle) == (1, 0, "")


@story
async def test_a_run_that_overran_while_no_dispatcher_lived_is_timed_out(host: Host) -> None:
    await left(host, "a")
    host.clock += 601
    host.dispatcher(config(account("a"), timeout=600.0, attempts=1))
    await host.reaches(1, State.TIMED_OUT)
    assert host.agents.works[0].seconds == 0.0


@story
async def test_a_clock_that_was_set_back_grants_no_more_than_the_timeout(host: Host) -> None:
    await left(host, "a")
    host.clock -= 10_000
    host.dispatcher(SETTINGS)
    await host.runs(1)
    assert host.agents.works[0].seconds == 600.0


@story
async def test_a_run_can_be_left_and_taken_up_again_and_again(host: Host) -> None:
    await left(host, "a")
    for _ in range(3):
        dispatcher = host.dispatcher(SETTINGS)
        await host.runs(1)
        assert handles(host) == ["command:1.1"]
        await dispatcher.drain(0.01)
    assert host.turn(1).attempt == 1


@story
async def test_a_lane_waits_for_the_run_that_was_taken_up(host: Host) -> None:
    await left(host, "a")
    host.owe("a")
    dispatcher = host.dispatcher(SETTINGS)
    await host.runs(1)
    dispatcher.pump()
    assert host.agents.order() == [1]
    host.agents.end(1)
    await host.runs(2)
    assert handles(host)[1] == ""


@story
async def test_a_run_that_was_taken_up_has_its_place_of_the_concurrency(host: Host) -> None:
    await left(host, "a")
    dispatcher = host.dispatcher(config(account("a"), account("b"), concurrency=1))
    await host.runs(1)
    host.owe("b")
    dispatcher.pump()
    assert host.agents.order() == [1]
    host.agents.end(1)
    await host.runs(2)


@story
async def test_a_run_of_an_account_that_was_disabled_meanwhile_is_followed_to_its_end(
    host: Host,
) -> None:
    await left(host, "a")
    host.owe("a")
    host.dispatcher(config(account("a", enabled=False)))
    await host.runs(1)
    host.agents.end(1)
    await host.reaches(1, State.DONE)
    assert host.turn(2).state is State.QUEUED


# -- not taking up


@pytest.mark.parametrize(
    "now",
    [
        account("a", agent=AcpAgent(("agent",))),
        account("a", enabled=False, agent=None),
        account("other"),
    ],
    ids=["another kind of agent", "no agent", "no account"],
)
@story
async def test_a_handle_that_no_agent_of_the_account_can_read_is_owed_again(
    host: Host, now: Account
) -> None:
    await left(host, "a")
    host.dispatcher(config(now))
    await until(lambda: host.turn(1).interruptions == 1)
    if now.id == "a" and now.runs:
        await host.runs(1)
        assert host.agents.begun == [(1, 2)]
        assert handles(host) == [""]
    else:
        turn = host.turn(1)
        assert (turn.state, turn.handle, host.agents.begun) == (State.QUEUED, "", [])
    assert host.turn(1).failures == 0


# -- while it is not known whether the old attempt is gone


async def recovering(host: Host) -> tuple[Dispatcher, int]:
    """A dispatcher that waits for the lock of what it took over, and that lock."""
    await left(host, "a")
    lock = open_locked(host.state.transcript(1, 1))
    dispatcher = host.dispatcher(SETTINGS)
    await until(lambda: set(dispatcher.recovering) == {1})
    return dispatcher, lock


@story
async def test_a_stop_before_a_run_is_taken_up_leaves_it_running(host: Host) -> None:
    dispatcher, lock = await recovering(host)
    draining = asyncio.ensure_future(dispatcher.drain(0.01))
    await until(lambda: dispatcher.draining)
    os.close(lock)
    await draining
    turn = host.turn(1)
    assert (turn.state, turn.handle, host.agents.begun) == (State.RUNNING, "command:1.1", [])
    host.dispatcher(SETTINGS)
    await host.runs(1)
    assert handles(host) == ["command:1.1"]


@story
async def test_a_run_that_is_cancelled_before_it_is_taken_up_is_aborted_by_its_runner(
    host: Host,
) -> None:
    dispatcher, lock = await recovering(host)
    dispatcher.cancel(1)
    os.close(lock)
    await host.reaches(1, State.CANCELLED)
    # The run goes on elsewhere: only its runner, told to stop, can end it.
    assert handles(host) == ["command:1.1"]


@story
async def test_a_run_that_was_taken_up_can_be_cancelled(host: Host) -> None:
    await left(host, "a")
    dispatcher = host.dispatcher(SETTINGS)
    await host.runs(1)
    dispatcher.cancel(1)
    await host.reaches(1, State.CANCELLED)


@story
async def test_a_run_that_ended_well_in_the_moment_of_the_stop_is_done(host: Host) -> None:
    host.agents.elsewhere = "command"
    host.owe("a")
    dispatcher = host.dispatcher(SETTINGS)
    await host.runs(1)
    draining = asyncio.ensure_future(dispatcher.drain(10))
    await until(lambda: dispatcher.draining)
    host.agents.end(1, DONE)
    await draining
    assert host.turn(1).state is State.DONE
