"""What an operator has the dispatcher do: cancel, retry, pause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raftsup.dispatcher import scheduler
from raftsup.dispatcher.dispatcher import Dispatcher
from raftsup.ledger import LedgerUnavailable
from raftsup.turn import IllegalMove, LaneHealth, State, Turn
from tests.integration.dispatching import (
    DONE,
    Host,
    account,
    config,
    failed,
    hosting,
    story,
    until,
)


@pytest.fixture
def host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Host]:
    with hosting(tmp_path, caplog) as host:
        yield host


@story
async def test_a_queued_turn_that_is_cancelled_never_runs(host: Host) -> None:
    host.owe("a", "a", "a")
    dispatcher = host.dispatcher(config(account("a")))
    await host.runs(1)
    assert dispatcher.cancel(2).state is State.CANCELLED
    host.agents.end(1)
    await host.runs(3)
    assert host.agents.order() == [1, 3]
    assert host.turn(2).reason == "cancelled by an operator"


@story
async def test_a_running_turn_that_is_cancelled_is_ended_and_frees_its_lane(host: Host) -> None:
    host.owe("a", "a")
    dispatcher = host.dispatcher(config(account("a")))
    await host.runs(1)
    dispatcher.cancel(1)
    await host.runs(2)
    assert host.turn(1).state is State.CANCELLED
    assert dispatcher.health["a"] == LaneHealth()


@story
async def test_a_failed_turn_that_is_retried_runs_again_before_later_ones(host: Host) -> None:
    host.owe("a")
    host.agents.reply = lambda work: failed("no")
    dispatcher = host.dispatcher(config(account("a"), attempts=1))
    await host.reaches(1, State.FAILED)
    host.agents.reply = lambda work: None
    host.owe("a", "a")
    dispatcher.pump()
    await host.runs(2)
    dispatcher.retry(1)
    host.agents.end(2)
    await host.runs(1)
    assert host.agents.begun[-1] == (1, 2)


@story
async def test_a_turn_that_ended_before_this_dispatcher_began_can_be_retried(host: Host) -> None:
    (turn,) = host.owe("a")
    dispatcher = host.dispatcher(config(account("a", enabled=False)))
    dispatcher.cancel(turn)
    later = host.dispatcher(config(account("a")))
    later.retry(turn)
    await host.runs(turn)
    host.agents.end(turn)
    await host.reaches(turn, State.DONE)
    assert host.agents.begun == [(turn, 1)]


@story
async def test_words_that_make_no_sense_change_nothing(host: Host) -> None:
    host.owe("a", "a")
    host.agents.reply = lambda work: DONE if work.turn.id == 1 else None
    dispatcher = host.dispatcher(config(account("a")))
    await host.runs(2)
    before = host.turn(1), host.turn(2)
    for word, turn in ((dispatcher.cancel, 1), (dispatcher.retry, 1), (dispatcher.retry, 2)):
        with pytest.raises(IllegalMove):
            word(turn)
    assert (host.turn(1), host.turn(2)) == before
    assert set(host.agents.open) == {2}


@pytest.mark.parametrize("lane", ["a", scheduler.ALL])
@story
async def test_a_pause_holds_across_a_restart_until_it_is_taken_back(host: Host, lane: str) -> None:
    settings = config(account("a"))
    host.owe("a", "a")
    first = host.dispatcher(settings)
    await host.runs(1)
    first.set_paused(lane, True)
    host.agents.end(1)
    await host.reaches(1, State.DONE)
    assert host.agents.order() == [1]  # what ran went on, nothing new began

    second = host.dispatcher(settings)
    second.pump()
    assert host.agents.begun == []
    second.set_paused(lane, False)
    await host.runs(2)


@story
async def test_a_paused_lane_leaves_the_others_running(host: Host) -> None:
    host.owe("a", "b")
    dispatcher = Dispatcher(
        config(account("a"), account("b")),
        host.ledger,
        host.state,
        {},
        pool=host.agents,
    )
    dispatcher.set_paused("a", True)
    dispatcher.begin()
    await host.runs(2)


@story
async def test_a_pause_while_a_turns_end_cannot_be_written_stands(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = host.ledger.settle, [True]

    def settle(*args: Any, **more: Any) -> Turn:
        if full[0]:
            raise LedgerUnavailable("the disk is full")
        return real(*args, **more)

    monkeypatch.setattr(host.ledger, "settle", settle)
    host.owe("a", "a")
    # With a failure before, the end has a health to write.
    host.ledger.set_lane_health("a", LaneHealth(failures=1))
    host.agents.reply = lambda work: DONE
    dispatcher = host.dispatcher(config(account("a")))
    await until(lambda: host.agents.begun)
    dispatcher.set_paused("a", True)
    full[0] = False
    await host.reaches(1, State.DONE)
    await until(lambda: not dispatcher.running)
    assert dispatcher.health["a"] == host.ledger.lane_health()["a"] == LaneHealth(paused=True)
    assert host.agents.order() == [1]


@story
async def test_a_pause_that_the_ledger_cannot_keep_is_refused_and_not_in_force(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = host.dispatcher(config(account("a")))

    def full(*_: object) -> None:
        raise LedgerUnavailable("the disk is full")

    monkeypatch.setattr(host.ledger, "set_lane_health", full)
    with pytest.raises(LedgerUnavailable):
        dispatcher.set_paused("a", True)
    assert dispatcher.health.get("a", LaneHealth()) == replace(LaneHealth(), paused=False)
    host.owe("a")
    dispatcher.pump()
    await host.runs(1)


@story
async def test_a_cancel_stands_though_the_agent_fails_in_the_same_moment(host: Host) -> None:
    host.owe("a")
    dispatcher = host.dispatcher(config(account("a"), attempts=3))
    await host.runs(1)
    dispatcher.cancel(1)
    host.agents.end(1, failed("it was about to end anyway"))
    await until(lambda: host.turn(1).state is State.CANCELLED)
