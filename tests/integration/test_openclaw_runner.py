"""The runner of an agent behind a Gateway, against a fake one that does what a test tells it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from raftsup.paths import StateDir
from raftsup.runners.base import Step
from raftsup.runners.openclaw import reconcile
from raftsup.turn import Outcome, OutcomeKind
from tests.integration.fake_gateway import TOKEN, Manner
from tests.integration.openclaw_table import (
    NOTICE,
    QUICK,
    SESSION,
    SUCCEEDED,
    begun,
    laid,
    play,
    ride,
    until,
)

# A run from its beginning to its end.


def test_a_turn_is_one_run_and_its_text_goes_to_the_transcript_alone(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story() -> None:
        async with laid(state) as table:
            outcome = await ride(table.seat(), table.work()).outcome()
            assert outcome == SUCCEEDED
            (asked,) = table.fake.said("agent")
            assert asked["message"] == NOTICE
            assert asked["sessionKey"] == SESSION
            assert asked["deliver"] is False
            assert asked["timeout"] == 90
            assert table.said() == "done"

    play(story())
    assert "gateway.connected" in caplog.text
    for secret in (TOKEN, NOTICE, "done"):
        assert secret not in caplog.text


def test_the_handle_is_durable_before_the_run_is_asked_for(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            await ride(table.seat(), table.work()).outcome()
            ((text, asked_by_then),) = table.remembered
            assert asked_by_then == 0
            handle = reconcile.unpack(text)
            assert handle is not None
            assert (handle.boot, handle.session) == ("boot-1", SESSION)
            assert handle.run == table.fake.said("agent")[0]["idempotencyKey"]
            assert handle.run.startswith("raftsup-7-2-")

    play(story())


def test_what_could_not_be_remembered_is_not_started(state: StateDir) -> None:
    async def full(handle: str) -> None:
        raise OSError("no space")

    async def story() -> None:
        async with laid(state) as table:
            with pytest.raises(OSError):
                await ride(table.seat(), replace(table.work(), remember=full)).outcome()
            assert not table.fake.said("agent")

    play(story())


@pytest.mark.parametrize(
    ("status", "more", "outcome"),
    [
        ("ok", {}, SUCCEEDED),
        (
            "error",
            {"error": "mock answered 401"},
            Outcome(OutcomeKind.FAILED, "the Gateway's run failed: mock answered 401"),
        ),
        (
            "timeout",
            {},
            Outcome(OutcomeKind.TIMED_OUT, "the Gateway ended the run at a time limit"),
        ),
        (
            "error",
            {"stopReason": "rpc"},
            Outcome(OutcomeKind.CANCELLED, "somebody aborted the run at the Gateway"),
        ),
    ],
)
def test_a_runs_end_becomes_the_turns(
    state: StateDir, status: str, more: dict[str, str], outcome: Outcome
) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            table.fake.end(table.fake.only_run(), status, **more)
            assert await riding.outcome() == outcome
            assert table.fake.begun.total() == 1

    play(story())


def test_a_run_that_takes_longer_than_one_wait_is_begun_once(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await until(lambda: len(table.fake.said("tasks.list")) >= 2)
            table.fake.end(table.fake.only_run())
            assert await riding.outcome() == SUCCEEDED
            assert len(table.fake.said("agent")) == 1

    play(story())


def test_steps_of_this_run_are_reported_and_none_of_another(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            run = table.fake.only_run()
            tool = {"stream": "tool", "data": {"phase": "start", "name": "exec", "args": "secret"}}
            lines: list[dict[str, Any]] = [
                {"runId": run.id, "stream": "lifecycle", "data": {"phase": "start"}},
                {"runId": "another", **tool},
                {"runId": run.id, **tool},
                {"runId": run.id, "stream": "assistant", "data": {"text": "secret"}},
            ]
            for payload in lines:
                await table.fake.emit("agent", payload)
            await until(lambda: len(table.steps) >= 2)
            table.fake.end(run)
            await riding.outcome()
            assert table.steps == [Step("thinking"), Step("tool_started", "exec")]

    play(story())


def test_the_agent_and_the_session_of_the_config_are_asked_for(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            await ride(table.seat(agent_id="sales", session_key="desk"), table.work()).outcome()
            (asked,) = table.fake.said("agent")
            assert (asked["agentId"], asked["sessionKey"]) == ("sales", "agent:sales:desk")

    play(story())


def test_a_refused_run_is_a_failure_in_the_gateways_words(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            said = {"code": "INVALID_REQUEST", "message": 'unknown agent id "x"'}
            table.fake.manner.errors["agent"] = [said]
            outcome = await ride(table.seat(), table.work()).outcome()
            assert outcome == Outcome(
                OutcomeKind.FAILED,
                'the Gateway refused the run: INVALID_REQUEST: unknown agent id "x"; `openclaw'
                " agents list` on the Gateway's host shows what agentId may be",
            )

    play(story())


@pytest.mark.parametrize("method", ["agent", "agent.wait", "sessions.describe"])
def test_what_is_unavailable_for_a_moment_is_asked_again(state: StateDir, method: str) -> None:
    busy = {"code": "UNAVAILABLE", "message": "restarting", "retryable": True, "retryAfterMs": 10}

    async def story() -> None:
        async with laid(state) as table:
            table.fake.manner.errors[method] = [busy, busy]
            assert await ride(table.seat(), table.work()).outcome() == SUCCEEDED
            assert table.fake.begun.total() == 1

    play(story())


def test_a_second_attempt_uses_another_key(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            seat = table.seat()
            await ride(seat, table.work()).outcome()
            await ride(seat, table.work()).outcome()
            assert set(table.fake.begun.values()) == {1} and len(table.fake.begun) == 2

    play(story())


# A lost connection, the same boot.


def test_a_request_that_was_lost_is_sent_again_with_its_key(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(lose_before={"agent"})) as table:
            assert await ride(table.seat(), table.work()).outcome() == SUCCEEDED
            keys = [asked["idempotencyKey"] for asked in table.fake.said("agent")]
            assert len(keys) == 2 and len(set(keys)) == 1
            assert table.fake.begun.total() == 1
            assert len(table.remembered) == 1

    play(story())


def test_a_run_whose_acceptance_was_lost_is_attached_to(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True, lose_after={"agent"})) as table:
            riding = ride(table.seat(), table.work())
            await until(lambda: table.fake.connections >= 2 and table.fake.said("tasks.list"))
            table.fake.end(table.fake.only_run(), text="attached")
            assert await riding.outcome() == SUCCEEDED
            assert len(table.fake.said("agent")) == 1
            assert table.said() == "attached"

    play(story())


@pytest.mark.parametrize("times", [1, 3])
def test_a_lost_connection_costs_no_second_run(state: StateDir, times: int) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            for lost in range(times):
                await table.fake.drop()
                await until(lambda lost=lost: table.fake.connections >= lost + 2)
            table.fake.end(table.fake.only_run())
            assert await riding.outcome() == SUCCEEDED
            assert table.fake.begun.total() == 1

    play(story())


def test_a_connection_that_says_nonsense_is_replaced(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            await table.fake.say("{nonsense")
            await until(lambda: table.fake.connections >= 2)
            table.fake.end(table.fake.only_run())
            assert await riding.outcome() == SUCCEEDED
            assert table.fake.begun.total() == 1

    play(story())
    assert "it sent nonsense: it is not JSON" in caplog.text
    assert "{nonsense" not in caplog.text


def test_a_gateway_that_does_not_answer_is_left_and_dialled_again(state: StateDir) -> None:
    async def story() -> None:
        manner, timings = Manner(hang={"sessions.describe"}), replace(QUICK, prompt=0.1)
        async with laid(state, manner, timings=timings) as table:
            riding = ride(table.seat(), table.work())
            await until(lambda: table.fake.connections >= 2)
            table.fake.manner = Manner()
            assert await riding.outcome() == SUCCEEDED

    play(story())


# A turn that must end.


@pytest.mark.parametrize("kind", [OutcomeKind.TIMED_OUT, OutcomeKind.CANCELLED])
def test_a_turn_that_must_end_aborts_its_run(state: StateDir, kind: OutcomeKind) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            assert await riding.stopped(kind) == Outcome(kind, "the Gateway aborted the run")
            run = table.fake.only_run()
            assert table.fake.said("chat.abort") == [{"sessionKey": SESSION, "runId": run.id}]
            assert run.status == "cancelled"

    play(story())


def test_a_gateway_that_will_not_abort_is_told_of(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True, deaf=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            assert await riding.stopped(OutcomeKind.TIMED_OUT) == Outcome(
                OutcomeKind.TIMED_OUT, "the Gateway would not abort the run, it may go on"
            )

    play(story())


def test_a_gateway_that_is_away_when_a_run_must_end_is_told_of(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            await table.fake.stop()
            assert await riding.stopped(OutcomeKind.CANCELLED) == Outcome(
                OutcomeKind.CANCELLED,
                "the Gateway would not abort the run, it may go on: it does not answer",
            )

    play(story())


def test_a_run_that_ended_before_the_abort_came_is_a_success(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True, hang={"agent.wait"})) as table:
            riding = ride(table.seat(), table.work())
            await begun(table)
            table.fake.manner.hang.clear()
            table.fake.end(table.fake.only_run(), text="in time")
            assert await riding.stopped(OutcomeKind.TIMED_OUT) == SUCCEEDED
            assert table.said() == "in time"

    play(story())


def test_a_run_is_left_to_the_next_dispatcher_and_taken_up_there(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state, Manner(keep=True)) as table:
            seat = table.seat()
            riding = ride(seat, table.work())
            await begun(table)
            assert await riding.stopped(OutcomeKind.INTERRUPTED) == Outcome(
                OutcomeKind.LEFT_RUNNING, "the run goes on at the Gateway"
            )
            assert not table.fake.said("chat.abort")
            await table.leave(seat)
            assert table.fake.only_run().status == "running"

            taken_up = ride(table.seat(), table.work(table.handle))
            await until(lambda: table.fake.said("tasks.list"))
            table.fake.end(table.fake.only_run(), text="taken up")
            assert await taken_up.outcome() == SUCCEEDED
            assert len(table.fake.said("agent")) == 1
            assert len(table.remembered) == 1
            assert table.said() == "taken up"

    play(story())


def test_a_turn_that_must_end_before_the_gateway_was_reached_says_so(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            await table.fake.stop()
            riding = ride(table.seat(), table.work())
            outcome = await riding.stopped(OutcomeKind.INTERRUPTED)
            assert outcome == Outcome(OutcomeKind.INTERRUPTED, "the Gateway was not asked yet")
            assert not table.remembered

    play(story())


def test_a_handle_of_another_kind_begins_a_run_of_our_own(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            work = table.work('acp:{"session":"s"}')
            assert await ride(table.seat(), work).outcome() == SUCCEEDED
            assert table.fake.begun.total() == 1

    play(story())
