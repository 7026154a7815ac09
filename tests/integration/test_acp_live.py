"""Trying an ACP agent out without a model call."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from raftsup.config.model import AcpAgent
from raftsup.paths import StateDir
from raftsup.runners.acp import check
from raftsup.runners.base import Finding
from tests.integration.acp_seat import Lane
from tests.processes import alive


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return Lane(StateDir(tmp_path / "s"), tmp_path)


def findings(agent: AcpAgent, timeout: float = check.TIMEOUT_S) -> list[Finding]:
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    return asyncio.run(asyncio.wait_for(check.try_out(agent, env, timeout), 15))


def test_an_agent_that_is_well_is_told_by_name_and_how_to_log_in(lane: Lane) -> None:
    found = findings(lane.agent("login load"))
    assert all(finding.good for finding in found)
    told = "\n".join(finding.text for finding in found)
    assert "test-agent 1.2 answers initialize and speaks ACP version 1" in told
    assert "In the browser (browser): run `x login`; A key (key): set X_KEY in agent.env" in told
    assert not lane.noted("prompt") and not lane.noted("new")
    assert not any(alive(pid) for pid in lane.noted("started"))


def test_an_agent_that_begins_anew_each_time_is_told_of(lane: Lane) -> None:
    assert any("begins a new one" in finding.text for finding in findings(lane.agent()))


@pytest.mark.parametrize(
    ("do", "words"), [("version7", "speaks version 7"), ("junk", "no JSON-RPC")]
)
def test_an_agent_that_does_not_speak_the_protocol_is_told_of(
    lane: Lane, do: str, words: str
) -> None:
    *_, last = findings(lane.agent(do))
    assert not last.good and words in last.text
    assert not any(alive(pid) for pid in lane.noted("started"))


def test_an_agent_that_never_answers_is_ended_in_time(lane: Lane) -> None:
    *_, last = findings(lane.agent("mute"), 1.5)
    assert last == Finding(False, "the agent did not answer initialize within 1.5 s")
    assert not any(alive(pid) for pid in lane.noted("started"))


def test_a_program_that_is_not_there_is_told_of_with_what_to_do() -> None:
    assert findings(AcpAgent(("no-such-agent", "--acp"))) == [
        Finding(
            False,
            "cannot start the agent: no-such-agent: No such file or directory; write the program's"
            " full path in agent.command, or put it on the PATH",
        )
    ]


def test_a_program_that_ends_at_once_is_told_of_with_what_to_do() -> None:
    found = findings(AcpAgent(("false",)))
    assert [finding.good for finding in found] == [True, False]
    assert found[1].text.startswith("the agent exited with 1; run the command by hand")


def test_the_last_words_of_a_program_that_ends_at_once_are_told() -> None:
    found = findings(AcpAgent(("sh", "-c", "echo one >&2; echo no route to the model >&2; exit 1")))
    assert found[1] == Finding(
        False, "the agent exited with 1; the last that it said is: no route to the model"
    )
