"""Turns whose agent cannot be had: they wait, whole, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup.turn import IllegalMove, LaneHealth, State
from tests.integration.dispatching import DONE, Host, account, config, failed, hosting, story, until


@pytest.fixture
def host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Host]:
    with hosting(tmp_path, caplog) as host:
        yield host


@story
async def test_a_lane_whose_agent_is_away_starts_nothing_and_the_others_go_on(host: Host) -> None:
    host.owe("a", "b", "a", "b")
    host.agents.away["a"] = "the Gateway does not answer"
    host.agents.reply = lambda work: DONE
    dispatcher = host.dispatcher(config(account("a"), account("b")))
    await host.reaches(4, State.DONE)
    dispatcher.pump()
    assert host.agents.order() == [2, 4]
    assert [(t.state, t.attempt) for t in map(host.turn, (1, 3))] == [(State.QUEUED, 0)] * 2
    assert dispatcher.health.get("a", LaneHealth()) == LaneHealth()  # it did not fail


@story
async def test_what_waited_for_an_agent_starts_in_order_at_the_news_that_it_is_back(
    host: Host,
) -> None:
    host.owe("a", "a")
    host.agents.away["a"] = "away"
    host.agents.reply = lambda work: DONE
    dispatcher = host.dispatcher(config(account("a")))
    host.owe("a")
    dispatcher.pump()
    assert host.agents.begun == []
    host.agents.away.clear()
    dispatcher.pump()  # what a runner calls when it is back
    await host.reaches(3, State.DONE)
    assert host.agents.begun == [(1, 1), (2, 1), (3, 1)]


@story
async def test_a_turn_under_way_goes_on_while_its_agent_is_away_and_the_next_one_waits(
    host: Host,
) -> None:
    host.owe("a", "a")
    dispatcher = host.dispatcher(config(account("a")))
    await host.runs(1)
    host.agents.away["a"] = "away"
    dispatcher.pump()
    host.agents.end(1)
    await host.reaches(1, State.DONE)
    await until(lambda: not dispatcher.running)
    assert host.agents.order() == [1]
    assert host.turn(2).state is State.QUEUED


@story
async def test_an_away_agent_takes_no_place_of_the_concurrency(host: Host) -> None:
    host.owe("a", "b")
    host.agents.away["a"] = "away"
    host.dispatcher(config(account("a"), account("b"), concurrency=1))
    await host.runs(2)


@story
async def test_it_is_told_which_accounts_have_no_agent_now_and_which_lanes_wait_for_one(
    host: Host,
) -> None:
    host.owe("a")
    host.agents.away.update(a="no", idle="no", off="no", b="")
    accounts = account("a"), account("b"), account("idle"), account("off", enabled=False)
    dispatcher = host.dispatcher(config(*accounts))
    assert dispatcher.unavailable() == {"a": "no"}
    assert dispatcher.unavailable_accounts() == {"a": "no", "idle": "no"}


@story
async def test_a_waiting_turn_can_be_cancelled_and_its_lane_paused(host: Host) -> None:
    host.owe("a", "a")
    host.agents.away["a"] = "away"
    dispatcher = host.dispatcher(config(account("a")))
    assert dispatcher.cancel(1).state is State.CANCELLED
    dispatcher.set_paused("a", True)
    host.agents.away.clear()
    dispatcher.pump()
    assert host.agents.begun == []
    dispatcher.set_paused("a", False)
    await host.runs(2)


@story
async def test_a_failure_while_the_account_is_cut_off_from_raft_costs_no_attempt(
    host: Host,
) -> None:
    host.owe("a")
    host.cut_off["a"] = "the bridge is refused"
    host.agents.reply = lambda work: failed("exited with 1") if host.cut_off else DONE
    dispatcher = host.dispatcher(config(account("a"), pause=3600.0, max_pause=3600.0, attempts=1))
    await until(lambda: host.turn(1).attempt == 1 and not dispatcher.running)
    turn = host.turn(1)
    assert (turn.state, turn.failures) == (State.QUEUED, 0)
    assert turn.reason == "exited with 1; the bridge is refused"
    dispatcher.pump()
    assert host.agents.begun == [(1, 1)]  # its lane rests
    host.cut_off.clear()
    dispatcher.pump()
    await host.reaches(1, State.DONE)  # long before the rest would be over
    assert dispatcher.health["a"].failures == 0


@story
async def test_a_failure_of_an_account_that_has_raft_costs_an_attempt(host: Host) -> None:
    host.owe("a", "b")
    host.cut_off["b"] = "away"
    host.agents.reply = lambda work: failed("exited with 1")
    host.dispatcher(config(account("a"), account("b"), attempts=1, pause=3600.0, max_pause=3600.0))
    await host.reaches(1, State.FAILED)
    await until(lambda: host.turn(2).attempt == 1 and host.turn(2).state is State.QUEUED)


@story
async def test_a_failed_turn_is_dismissed_and_can_be_retried_all_the_same(host: Host) -> None:
    host.owe("a")
    host.agents.reply = lambda work: failed("exited with 1")
    dispatcher = host.dispatcher(config(account("a"), attempts=1))
    await host.reaches(1, State.FAILED)
    assert [turn.id for turn in host.ledger.latest()["a"].unanswered] == [1]
    before = host.turn(1)
    turn = dispatcher.dismiss(1)
    assert (turn.state, turn.ended_at) == (State.CANCELLED, before.ended_at)
    assert turn.reason == "dismissed by an operator; it had failed: exited with 1"
    assert host.ledger.latest()["a"].unanswered == ()
    with pytest.raises(IllegalMove):
        dispatcher.dismiss(1)
    host.agents.reply = lambda work: DONE
    dispatcher.retry(1)
    await host.reaches(1, State.DONE)
