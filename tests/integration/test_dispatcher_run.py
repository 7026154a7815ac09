"""A turn that an operator asks for, and what its agent is seen to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup.dispatcher.control_socket import BadRequest, verbs_of
from raftsup.runners.base import AttemptSpec, Step
from raftsup.turn import Outcome, State
from tests.integration.dispatching import DONE, Host, account, config, hosting, story


@pytest.fixture
def host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Host]:
    with hosting(tmp_path, caplog) as host:
        yield host


@story
async def test_an_account_can_be_owed_a_turn_without_a_wake(host: Host) -> None:
    dispatcher = host.dispatcher(config(account("a"), account("b")))
    assert verbs_of(dispatcher, lambda: None)["run"]({"account": "b"}) == {"turn": 1}
    await host.runs(1)
    turn = host.turn(1)
    assert (turn.account, turn.source) == ("b", "operator")
    host.agents.end(1)
    await host.reaches(1, State.DONE)
    counts = host.ledger.counts()["b"]
    assert (counts.asked, counts.accepted, counts.done) == (1, 0, 1)


@story
async def test_a_turn_that_is_asked_for_waits_for_those_before_it(host: Host) -> None:
    host.owe("a")
    dispatcher = host.dispatcher(config(account("a")))
    await host.runs(1)
    assert dispatcher.run_once("a", "operator").id == 2
    assert host.agents.order() == [1]
    host.agents.end(1)
    await host.runs(2)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"account": "nobody"}, "no account 'nobody'; there are a, off"),
        ({}, "no account None; there are a, off"),
        ({"account": ["a"]}, "no account"),
        ({"account": "off"}, "account off does not run: "),
    ],
)
@story
async def test_who_does_not_run_is_owed_nothing(
    host: Host, request_: dict[str, object], told: str
) -> None:
    dispatcher = host.dispatcher(config(account("a"), account("off", enabled=False)))
    with pytest.raises(BadRequest, match=told):
        verbs_of(dispatcher, lambda: None)["run"](request_)
    assert host.ledger.recent() == []


@story
async def test_what_an_agent_is_seen_to_do_is_told_to_subscribers_with_its_turn(
    host: Host,
) -> None:
    def work(work: AttemptSpec) -> Outcome:
        work.report(Step("thinking"))
        work.report(Step("tool_ended", tool="exec", failed=True))
        return DONE

    host.owe("a")
    host.agents.reply = work
    host.dispatcher(config(account("a")))
    await host.reaches(1, State.DONE)
    steps = [event for event in host.events if event["event"] == "turn.step"]
    about = {"event": "turn.step", "at": host.clock, "turn": 1, "account": "a", "attempt": 1}
    assert steps == [
        {**about, "kind": "thinking", "tool": "", "failed": False},
        {**about, "kind": "tool_ended", "tool": "exec", "failed": True},
    ]
    names = [event["event"] for event in host.events]
    assert names == ["turn.started", "turn.step", "turn.step", "turn.done"]
