"""What the dispatcher makes of owed turns: a real ledger, and agents that do as they are told."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raftsup.config.model import Account
from raftsup.ledger import LedgerUnavailable
from raftsup.runners.base import AttemptSpec
from raftsup.runners.transcript import open_locked
from raftsup.turn import LaneHealth, Outcome, OutcomeKind, State, Turn
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


# -- order


@story
async def test_turns_of_a_lane_run_one_at_a_time_in_the_order_of_their_wakes(host: Host) -> None:
    turns = host.owe("a", "a", "a")
    host.dispatcher(config(account("a")))
    for turn in turns:
        await host.runs(turn)
        host.agents.end(turn)
    await host.reaches(turns[-1], State.DONE)
    assert host.agents.begun == [(turn, 1) for turn in turns]


@story
async def test_accounts_that_share_a_lane_never_run_together(host: Host) -> None:
    turns = host.owe("a", "b", "b", "a")
    host.dispatcher(config(account("a", "shared"), account("b", "shared"), account("c")))
    for turn in turns:
        await host.runs(turn)
        host.agents.end(turn)
    await host.reaches(turns[-1], State.DONE)
    assert all(len(running) == 1 for running in host.agents.together)


@story
async def test_lanes_run_side_by_side_up_to_the_concurrency(host: Host) -> None:
    host.owe("a", "b", "c")
    host.dispatcher(config(account("a"), account("b"), account("c"), concurrency=2))
    await host.runs(1, 2)
    host.agents.end(1)
    await host.runs(2, 3)


@story
async def test_a_concurrency_of_one_serialises_the_host_and_lanes_take_turns(host: Host) -> None:
    host.owe("a", "a", "a", "b", "b")
    host.agents.reply = lambda work: DONE
    host.dispatcher(config(account("a"), account("b"), concurrency=1))
    await until(lambda: len(host.agents.begun) == 5)
    assert host.agents.order() == [1, 4, 2, 5, 3]


@story
async def test_a_wake_that_arrives_later_is_seen_at_the_doorbell(host: Host) -> None:
    dispatcher = host.dispatcher(config(account("a")))
    (turn,) = host.owe("a")
    dispatcher.pump()
    await host.runs(turn)


@story
async def test_a_turn_that_waits_for_its_next_attempt_is_not_overtaken(host: Host) -> None:
    host.owe("a", "a")
    host.agents.reply = lambda work: failed("no") if work.turn.attempt == 1 else DONE
    host.dispatcher(config(account("a")))
    await host.reaches(2, State.DONE)
    assert host.agents.begun == [(1, 1), (1, 2), (2, 1), (2, 2)]


# -- outcomes


@story
async def test_a_turn_fails_after_its_attempts_with_the_last_reason(host: Host) -> None:
    host.owe("a", "a")
    host.agents.reply = lambda work: (
        failed(f"attempt {work.turn.attempt}") if work.turn.id == 1 else DONE
    )
    host.dispatcher(config(account("a"), attempts=3))
    await host.reaches(2, State.DONE)
    turn = host.turn(1)
    assert (turn.state, turn.attempt, turn.reason) == (State.FAILED, 3, "attempt 3")


@story
async def test_a_turn_that_overruns_is_timed_out_and_its_lane_goes_on(host: Host) -> None:
    host.owe("a", "a")
    host.agents.reply = lambda work: DONE if work.turn.id == 2 else None
    host.dispatcher(config(account("a"), attempts=2, timeout=0.02))
    await host.reaches(2, State.DONE)
    turn = host.turn(1)
    assert (turn.state, turn.attempt) == (State.TIMED_OUT, 2)
    assert turn.reason == "ran over turns.timeout (0.02 s); the agent ended when asked"


@story
async def test_a_runner_that_breaks_is_a_failed_attempt(host: Host) -> None:
    host.owe("a")

    def break_first(work: AttemptSpec) -> Outcome:
        if work.turn.attempt == 1:
            raise RuntimeError("what the agent said")
        return failed("after")

    host.agents.reply = break_first
    host.dispatcher(config(account("a"), attempts=1))
    await host.reaches(1, State.FAILED)
    assert host.turn(1).reason == "the runner broke: RuntimeError"


@story
async def test_every_move_of_a_turn_is_told_to_subscribers(host: Host) -> None:
    host.owe("a")
    host.agents.reply = lambda work: failed("no") if work.turn.attempt == 1 else DONE
    host.dispatcher(config(account("a")))
    await host.reaches(1, State.DONE)
    told = [(event["event"], event["attempt"]) for event in host.events]
    assert told == [("turn.started", 1), ("turn.retry", 1), ("turn.started", 2), ("turn.done", 2)]


# -- a lane's health


@story
async def test_a_failing_lane_rests_and_others_go_on(host: Host) -> None:
    host.owe("a", "b")
    host.agents.reply = lambda work: failed("no") if work.turn.account == "a" else DONE
    dispatcher = host.dispatcher(config(account("a"), account("b"), pause=60.0, max_pause=600.0))
    await host.reaches(2, State.DONE)
    await until(lambda: dispatcher.health.get("a", LaneHealth()).failures == 1)
    dispatcher.pump()
    assert host.agents.order() == [1, 2]
    host.clock += 61
    dispatcher.pump()
    await until(lambda: host.agents.begun[2:] == [(1, 2)])


@story
async def test_a_rest_ends_by_itself(host: Host) -> None:
    host.owe("a")
    host.agents.reply = lambda work: failed("no") if work.turn.attempt == 1 else DONE
    dispatcher = host.dispatcher(config(account("a"), pause=0.05, max_pause=0.05))
    dispatcher.now = time.time
    await host.reaches(1, State.DONE)


@story
async def test_a_slowed_lane_is_slow_after_a_restart_and_the_first_success_frees_it(
    host: Host,
) -> None:
    settings = config(account("a"), attempts=9, pause=60.0, max_pause=600.0)
    host.owe("a")
    host.agents.reply = lambda work: failed("no")
    first = host.dispatcher(settings)
    await until(lambda: first.health.get("a", LaneHealth()).failures == 1)
    await first.drain(1)

    host.agents.reply = lambda work: DONE
    second = host.dispatcher(settings)
    assert second.health["a"] == first.health["a"]
    second.pump()
    assert host.agents.begun == []
    host.clock += 61
    second.pump()
    await host.reaches(1, State.DONE)
    assert second.health["a"] == LaneHealth()
    assert host.ledger.lane_health()["a"] == LaneHealth()


# -- reload


@pytest.mark.parametrize("gone", [(), (account("a", enabled=False),)])
@story
async def test_turns_of_an_account_that_does_not_run_are_held_until_it_does(
    host: Host, gone: tuple[Account, ...]
) -> None:
    (turn,) = host.owe("a")
    dispatcher = host.dispatcher(config(*gone))
    assert (dispatcher.queue.held(), host.agents.begun) == ({"a": 1}, [])
    dispatcher.reconfigure(config(account("a")))
    await host.runs(turn)
    assert dispatcher.queue.held() == {}


@story
async def test_a_retry_of_an_account_that_was_removed_meanwhile_is_held(host: Host) -> None:
    host.owe("a")
    dispatcher = host.dispatcher(config(account("a")))
    await host.runs(1)
    dispatcher.reconfigure(config())
    host.agents.end(1, failed("no"))
    await host.reaches(1, State.QUEUED)
    await until(lambda: dispatcher.queue.held() == {"a": 1})
    dispatcher.reconfigure(config(account("a")))
    await until(lambda: host.agents.begun == [(1, 1), (1, 2)])


@story
async def test_an_account_that_moves_to_another_lane_never_runs_two_turns_at_once(
    host: Host,
) -> None:
    host.owe("a", "a", "b", "c")
    dispatcher = host.dispatcher(config(account("a", "old"), account("b", "new"), concurrency=1))
    await host.runs(1)
    dispatcher.reconfigure(config(account("a", "new"), account("b", "new"), account("c", "old")))
    dispatcher.pump()
    # Turn 1 holds the lane that it began in and the one that its account is in now.
    assert (host.agents.order(), set(dispatcher.queue.waiting())) == ([1], {"new", "old"})
    host.agents.end(1)
    await host.runs(2, 4)


@story
async def test_a_profile_that_goes_to_another_account_has_one_turn_at_a_time(host: Host) -> None:
    host.owe("a", "b", "c")
    first, second, third = account("a"), account("b"), account("c")
    dispatcher = host.dispatcher(config(first, third, concurrency=3))
    await host.runs(1, 3)
    heir = replace(second, profile=first.profile)
    dispatcher.reconfigure(config(replace(first, profile="new"), heir, third, concurrency=3))
    host.agents.end(3)
    await host.reaches(3, State.DONE)
    assert host.agents.order() == [1, 3]
    host.agents.end(1)
    await host.runs(2)


@story
async def test_a_new_concurrency_holds_from_the_next_start_on(host: Host) -> None:
    accounts = account("a"), account("b"), account("c")
    host.owe("a", "b", "c")
    dispatcher = host.dispatcher(config(*accounts, concurrency=2))
    await host.runs(1, 2)
    dispatcher.reconfigure(config(*accounts, concurrency=1))
    host.agents.end(1)
    await host.reaches(1, State.DONE)
    assert host.agents.order() == [1, 2]
    host.agents.end(2)
    await host.runs(3)


# -- the end, and the next beginning


@story
async def test_a_drain_waits_for_what_runs_and_starts_nothing(host: Host) -> None:
    host.owe("a", "a")
    dispatcher = host.dispatcher(config(account("a")))
    await host.runs(1)
    draining = asyncio.ensure_future(dispatcher.drain(10))
    await until(lambda: dispatcher.draining)
    host.agents.end(1)
    await draining
    assert host.turn(1).state is State.DONE
    assert (host.turn(2).state, host.agents.order()) == (State.QUEUED, [1])


@story
async def test_what_a_drain_cannot_wait_for_is_interrupted_and_owed_again(host: Host) -> None:
    host.owe("a", "a")
    settings = config(account("a"), attempts=1)
    dispatcher = host.dispatcher(settings)
    await host.runs(1)
    await dispatcher.drain(0.01)
    turn = host.turn(1)
    assert (turn.state, turn.interruptions, turn.failures) == (State.QUEUED, 1, 0)

    host.agents.reply = lambda work: DONE
    host.dispatcher(settings)
    await host.reaches(2, State.DONE)
    assert host.agents.begun == [(1, 2), (2, 1)]


@story
async def test_what_a_dead_dispatcher_left_running_runs_again_first_and_once(host: Host) -> None:
    host.owe("a", "a", "b")
    host.ledger.claim(1, now=host.clock)
    # The turn of the highest number too: the first look at what is owed does not see it.
    host.ledger.claim(3, now=host.clock)
    host.agents.reply = lambda work: DONE
    host.dispatcher(config(account("a"), account("b")))
    await host.reaches(2, State.DONE)
    await host.reaches(3, State.DONE)
    assert sorted(host.agents.begun) == [(1, 2), (2, 1), (3, 2)]
    assert host.agents.order().index(1) < host.agents.order().index(2)
    assert (host.turn(1).interruptions, host.turn(1).failures) == (1, 0)


@story
async def test_a_lane_waits_until_all_that_was_left_running_in_it_is_gone(host: Host) -> None:
    # Two turns of one lane: their accounts had lanes of their own before.
    host.owe("a", "b", "a", "b")
    for turn in (1, 2):
        host.ledger.claim(turn, now=host.clock)
    lock = open_locked(host.state.transcript(2, 1))
    dispatcher = host.dispatcher(config(account("a", "shared"), account("b", "shared")))
    await host.reaches(1, State.QUEUED)
    await until(lambda: set(dispatcher.recovering) == {2})
    dispatcher.pump()
    assert host.agents.begun == []
    os.close(lock)
    await host.runs(1)


@story
async def test_an_account_that_moves_while_its_old_turn_is_not_gone_waits_in_both_lanes(
    host: Host,
) -> None:
    host.owe("a", "a")
    host.ledger.claim(1, now=host.clock)
    lock = open_locked(host.state.transcript(1, 1))
    dispatcher = host.dispatcher(config(account("a", "old")))
    dispatcher.reconfigure(config(account("a", "new")))
    assert host.agents.begun == []
    os.close(lock)
    await host.runs(1)


@story
async def test_a_turn_cancelled_before_its_old_attempt_is_gone_ends_cancelled(host: Host) -> None:
    host.owe("a", "a")
    host.ledger.claim(1, now=host.clock)
    lock = open_locked(host.state.transcript(1, 1))
    dispatcher = host.dispatcher(config(account("a")))
    dispatcher.cancel(1)
    assert host.agents.begun == []  # the lane moves when the old attempt is gone
    os.close(lock)
    await host.runs(2)
    assert host.turn(1).state is State.CANCELLED


# -- a ledger that cannot take it


@pytest.mark.parametrize("call", ["claim", "settle"])
@story
async def test_a_write_that_the_ledger_cannot_take_is_tried_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real: Callable[..., Turn] = getattr(host.ledger, call)
    left = [3]

    def full(*args: Any, **more: Any) -> Turn:
        if left[0]:
            left[0] -= 1
            raise LedgerUnavailable("the disk is full")
        return real(*args, **more)

    monkeypatch.setattr(host.ledger, call, full)
    host.owe("a", "a")
    host.agents.reply = lambda work: DONE
    dispatcher = host.dispatcher(config(account("a")))
    await host.reaches(2, State.DONE)
    await until(lambda: not dispatcher.running)
    assert (left, host.agents.begun) == ([0], [(1, 1), (2, 1)])


@story
async def test_a_rest_that_a_wrong_clock_reckoned_holds_no_lane(host: Host) -> None:
    host.ledger.set_lane_health("a", LaneHealth(failures=1, not_before=4e9))
    host.owe("a")
    host.dispatcher(config(account("a")))
    await host.runs(1)


@story
async def test_what_the_host_could_not_start_is_no_failure_of_the_turn(host: Host) -> None:
    trouble = [Outcome(OutcomeKind.POSTPONED, "no room")] * 5
    host.agents.reply = lambda work: trouble.pop() if trouble else DONE
    host.owe("a")
    host.dispatcher(config(account("a"), attempts=2, pause=0.0, max_pause=0.0))
    await until(lambda: host.turn(1).state is State.DONE)
    assert (host.turn(1).failures, host.turn(1).attempt) == (0, 6)
