"""The ACP runner, with an agent on the official SDK's agent side as a real process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import stat
import sys
from pathlib import Path

import psutil
import pytest

from raftsup.config.model import AcpAgent
from raftsup.paths import StateDir
from raftsup.runners.acp.runner import Timings
from raftsup.runners.base import Step, Stop
from raftsup.turn import Outcome, OutcomeKind
from tests.integration.acp_seat import NOTICE, Lane, Seated, stopped_turn, turn, until
from tests.processes import alive

DONE = Outcome(OutcomeKind.SUCCEEDED)


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    state = StateDir(tmp_path / "s")
    state.prepare()
    return Lane(state, tmp_path)


def test_one_process_takes_turn_after_turn_in_one_session(lane: Lane) -> None:
    assert lane.run(times=3) == [DONE] * 3
    assert len(lane.noted("started")) == 1
    assert lane.noted("prompt") == [NOTICE] * 3
    assert lane.noted("blocks") == [1] * 3
    assert len(set(lane.noted("session"))) == 1
    assert lane.noted("cwd") == [str(lane.cwd)] and lane.noted("mcp") == [[]]
    assert [lane.said(number) for number in (1, 2, 3)] == ["the answer"] * 3


def test_closing_the_runner_ends_the_agent_by_the_end_of_its_input(lane: Lane) -> None:
    lane.run()
    assert lane.noted("ended") == lane.noted("started")  # it came to its own last line


def test_the_agent_has_the_environment_of_its_seat_and_the_marks(lane: Lane) -> None:
    async def story() -> dict[str, str]:
        async with Seated(lane) as runner:
            await turn(lane, runner)
            return dict(psutil.Process(lane.noted("started")[0]).environ())

    env = asyncio.run(story())
    assert env["OF_THE_SEAT"] == "1"
    assert env["RAFTSUP_STATE_DIR"] == str(lane.state.root)
    assert env["RAFTSUP_LANE"]
    assert "RAFTSUP_TURN" not in env


@pytest.mark.parametrize(
    ("do", "how"), [("resume load", "resumed"), ("resume", "resumed"), ("load", "loaded")]
)
def test_a_new_process_takes_up_the_session_of_the_last(lane: Lane, do: str, how: str) -> None:
    lane.run(do)
    lane.run(do)
    assert len(lane.noted("started")) == 2
    first, second = lane.noted("session")
    assert first == second
    assert lane.noted(how) == [first]


def test_what_is_told_again_of_an_old_session_is_in_no_transcript(lane: Lane) -> None:
    lane.run("load")
    lane.run("load")
    assert lane.noted("loaded")
    assert lane.said() == "the answer"


def test_an_agent_that_cannot_take_up_a_session_gets_a_new_one(lane: Lane) -> None:
    lane.run()
    lane.run()
    assert len(set(lane.noted("session"))) == 2


def test_a_session_that_is_lost_is_replaced_and_the_log_says_so(
    lane: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    lane.run("load")
    assert lane.run("load resume lose") == [DONE]
    assert len(set(lane.noted("session"))) == 2
    assert "action=acp.session_lost" in caplog.text
    lane.run("load")
    assert lane.noted("loaded") == [lane.noted("session")[1]]


def test_an_agent_that_dies_of_its_old_session_gets_a_new_one_the_next_time(lane: Lane) -> None:
    lane.run("load")
    (outcome,) = lane.run("load die_loading")
    assert outcome.reason.startswith("the agent exited with 4 before it was ready; ")
    assert lane.run("load die_loading") == [DONE]


def test_another_agent_never_gets_the_session_of_the_last(lane: Lane, tmp_path: Path) -> None:
    lane.run("load")
    other = tmp_path / "other"
    other.mkdir()
    agent = lane.agent("load")
    moved = AcpAgent(agent.command, str(other), agent.env)

    async def story() -> Outcome:
        runner = lane.runner(moved)
        try:
            return await turn(lane, runner)
        finally:
            await runner.close()

    assert asyncio.run(story()) == DONE
    assert not lane.noted("loaded")


def test_the_session_is_kept_in_a_private_file(lane: Lane) -> None:
    lane.run()
    kept = lane.state.lane("lane / one", "json")
    assert json.loads(kept.read_text())["session"] == lane.noted("session")[0]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("refusal", "the agent refused to go on (refusal)"),
        ("max_tokens", "the agent stopped at its model's token limit (max_tokens)"),
        ("die", "the agent exited with 3 while it worked on the turn"),
        ("nonsense", "the agent wrote 101 lines to standard output that are no JSON-RPC: that is"
         " for the protocol alone; it was ended while it worked on the turn"),
        ("version7", "the agent speaks version 7 of the Agent Client Protocol, raftsup speaks"
         " version 1: install versions that fit"),
        ("junk", "the agent wrote 101 lines to standard output that are no JSON-RPC: that is for"
         " the protocol alone; it was ended before it was ready; what it printed is in the"
         " transcript"),
        ("login", "the agent answered session/new with error -32000: it asks for a login: log in"
         " on this host as the user that raftsup runs as; the agent announces: In the browser"
         " (browser): run `x login`; A key (key): set X_KEY in agent.env"),
    ],
)  # fmt: skip
def test_what_is_no_plain_end_is_a_failure_that_says_why(lane: Lane, do: str, reason: str) -> None:
    assert lane.run(do) == [Outcome(OutcomeKind.FAILED, reason)]
    assert not any(alive(pid) for pid in lane.noted("started"))


def test_an_errors_words_go_to_the_transcript_alone(
    lane: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (outcome,) = lane.run("fail")
    assert outcome == Outcome(
        OutcomeKind.FAILED, "the agent answered session/prompt with error -32603: an internal error"
    )
    assert "a secret message" in lane.said() and "more of it" in lane.said()
    assert "secret" not in caplog.text and "more of it" not in caplog.text


def test_a_banner_on_standard_output_does_no_harm(lane: Lane) -> None:
    assert lane.run("banner") == [DONE]


def test_an_agent_that_never_answers_is_given_up(lane: Lane) -> None:
    # So long that a busy machine has started it, and its banner has come, by then.
    (outcome,) = lane.run("mute banner", timings=Timings(initialize=6.0))
    assert outcome == Outcome(
        OutcomeKind.FAILED,
        "the agent did not answer initialize within 6 s; it wrote 1 lines to standard output"
        " that are no JSON-RPC: is this the command that speaks ACP?",
    )
    assert not alive(lane.noted("started")[0])


def test_a_missing_program_is_named_and_costs_no_attempt(lane: Lane) -> None:
    async def story() -> Outcome:
        runner = lane.runner(AcpAgent(("no-such-agent",), str(lane.cwd)))
        try:
            return await turn(lane, runner)
        finally:
            await runner.close()

    assert asyncio.run(story()) == Outcome(
        OutcomeKind.POSTPONED, "cannot start the agent: no-such-agent: No such file or directory"
    )


def test_what_the_agent_writes_to_standard_error_goes_to_the_transcript(lane: Lane) -> None:
    assert lane.run("stderr") == [DONE]
    assert "a warning\n" in lane.said() and "the answer" in lane.said()


def test_steps_are_told_without_content(lane: Lane) -> None:
    assert lane.run("work") == [DONE]
    assert lane.steps == [
        Step("thinking"),
        Step("tool_started", "execute"),
        Step("tool_ended", "execute", failed=True),
        Step("thinking"),
    ]


@pytest.mark.parametrize(
    ("do", "policy", "option"),
    [
        ("ask", "deny", "no"),
        ("ask", "allow", "yes"),
        ("ask", ("execute", "read"), "yes"),
        ("ask", ("read",), "no"),
        ("ask_update", ("read",), "yes"),  # the kind was told when the tool was announced
    ],
)
def test_permission_is_given_by_the_policy(
    lane: Lane, do: str, policy: object, option: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert lane.run(do, permissions=policy) == [DONE]
    assert lane.noted("permission") == [{"outcome": "selected", "optionId": option}]
    tool = "read" if do == "ask_update" else "execute"
    answer = "allowed" if option == "yes" else "denied"
    assert "turn=1 account=support lane=" in caplog.text
    assert f"tool={tool} answer={answer}" in caplog.text
    assert "secret" not in caplog.text


def test_an_agent_gets_no_files_from_us(lane: Lane) -> None:
    assert lane.run("ask_files") == [DONE]
    assert lane.noted("files") == [-32601]


# -- ending a turn early


@pytest.mark.parametrize(
    "kind", [OutcomeKind.TIMED_OUT, OutcomeKind.CANCELLED, OutcomeKind.INTERRUPTED]
)
def test_a_turn_that_must_end_is_cancelled_and_its_process_lives_on(
    lane: Lane, kind: OutcomeKind
) -> None:
    async def story() -> tuple[Outcome, bool]:
        async with Seated(lane, "hang") as runner:
            outcome = await stopped_turn(lane, runner, kind, lambda: lane.noted("prompt"))
            return outcome, alive(lane.noted("started")[0])

    outcome, lives = asyncio.run(story())
    assert outcome == Outcome(kind, "the agent stopped when asked")
    assert lane.noted("cancel") == lane.noted("session")
    assert lives


@pytest.mark.parametrize(
    ("do", "manner"),
    [
        ("deaf", "ended when asked"),
        ("deaf stubborn", "had to be killed 0.3 s after it was told to end"),
    ],
)
def test_an_agent_that_does_not_stop_is_ended_and_the_next_turn_gets_a_new_one(
    lane: Lane, do: str, manner: str
) -> None:
    timings = Timings(cancel=0.3, term=0.3)

    async def story() -> tuple[Outcome, str]:
        async with Seated(lane, do + " grandchild", timings) as runner:
            outcome = await stopped_turn(
                lane, runner, OutcomeKind.TIMED_OUT, lambda: lane.noted("child")
            )
            assert not any(alive(pid) for pid in lane.noted("pid") + lane.noted("child"))
            unavailable = runner.unavailable()
            await stopped_turn(
                lane, runner, OutcomeKind.TIMED_OUT, lambda: len(lane.noted("child")) == 2
            )
            return outcome, unavailable

    outcome, unavailable = asyncio.run(story())
    assert outcome == Outcome(
        OutcomeKind.TIMED_OUT, f"the agent did not stop within 0.3 s and {manner}"
    )
    assert unavailable == ""  # that we ended it is not its failure
    assert len(lane.noted("started")) == 2


def test_a_stop_ends_an_agent_that_is_still_being_made_ready(lane: Lane) -> None:
    async def story() -> Outcome:
        async with Seated(lane, "mute") as runner:
            return await stopped_turn(
                lane, runner, OutcomeKind.CANCELLED, lambda: lane.noted("started")
            )

    outcome = asyncio.run(story())
    assert outcome.kind is OutcomeKind.CANCELLED
    assert not alive(lane.noted("started")[0])


def test_a_stop_that_came_before_the_start_starts_nothing(lane: Lane) -> None:
    async def story() -> Outcome:
        stop: Stop = asyncio.get_running_loop().create_future()
        stop.set_result(OutcomeKind.INTERRUPTED)
        async with Seated(lane) as runner:
            return await turn(lane, runner, stop)

    assert asyncio.run(story()).kind is OutcomeKind.INTERRUPTED
    assert not lane.noted("started")


# -- deaths


def test_an_agent_that_keeps_dying_makes_its_lane_rest_and_says_why(lane: Lane) -> None:
    async def story() -> tuple[str, str, int]:
        async with Seated(lane, "die") as runner:
            await turn(lane, runner)
            once = runner.unavailable()
            await turn(lane, runner)
            return once, runner.unavailable(), lane.changes

    once, twice, changes = asyncio.run(story())
    assert once.startswith("the agent exited with 3; the next start is at ")
    assert twice.startswith("the agent exited with 3, 2 times in a row; the next start is at ")
    assert changes >= 2


def test_a_death_between_turns_is_noticed_and_the_next_turn_starts_anew(
    lane: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> list[Outcome]:
        async with Seated(lane) as runner:
            first = await turn(lane, runner)
            os.kill(lane.noted("started")[0], signal.SIGKILL)
            await until(runner.unavailable)
            return [first, await turn(lane, runner)]

    assert asyncio.run(story()) == [DONE, DONE]
    assert len(lane.noted("started")) == 2
    assert "the agent was killed by SIGKILL between turns" in caplog.text


def test_a_killed_shim_leaves_nothing_running(lane: Lane) -> None:
    async def story() -> Outcome:
        async with Seated(lane, "grandchild deaf") as runner:
            running = asyncio.ensure_future(turn(lane, runner))
            await until(lambda: lane.noted("child"))
            os.kill(psutil.Process(lane.noted("pid")[0]).ppid(), signal.SIGKILL)
            return await running

    outcome = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason.startswith("the agent was killed together with its shim")
    assert not any(alive(pid) for pid in lane.noted("pid") + lane.noted("child"))


#: A dispatcher with one lane in it; prints a word when its turn has begun.
DISPATCHER = """
import asyncio, sys
from pathlib import Path
from raftsup.paths import StateDir
from tests.integration.acp_seat import Lane, turn, until
lane = Lane(StateDir(Path(sys.argv[1])), Path(sys.argv[2]))
async def story():
    running = asyncio.ensure_future(turn(lane, lane.runner(lane.agent("grandchild deaf stubborn"))))
    await until(lambda: lane.noted("child"))
    print("begun", flush=True)
    await running
asyncio.run(story())
"""


@pytest.mark.parametrize("shim_too", [False, True])
def test_a_dead_dispatchers_agent_is_gone_before_the_next_one_starts(
    lane: Lane, shim_too: bool
) -> None:
    with psutil.Popen(
        [sys.executable, "-c", DISPATCHER, str(lane.state.root), str(lane.cwd)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=-1,
    ) as dispatcher:
        assert dispatcher.stdout is not None
        assert dispatcher.stdout.readline() == b"begun\n"
        old = [*lane.noted("pid"), *lane.noted("child")]
        if shim_too:
            # Stopped, so that it cannot do its work between the two.
            shim = psutil.Process(old[0]).parent()
            assert shim is not None
            dispatcher.suspend()
            shim.kill()
        dispatcher.kill()

    async def story() -> tuple[Outcome, list[bool]]:
        async with Seated(lane, "stderr") as runner:
            stop: Stop = asyncio.get_running_loop().create_future()
            running = asyncio.ensure_future(turn(lane, runner, stop))
            await until(lambda: len(lane.noted("started")) == 2)
            old_lives = [alive(pid) for pid in old]
            return await running, old_lives

    outcome, old_lives = asyncio.run(story())
    assert outcome == DONE
    assert old_lives == [False, False]


def test_while_an_older_agent_holds_the_lane_a_stop_ends_the_waiting(lane: Lane) -> None:
    async def story() -> Outcome:
        older = lane.runner(lane.agent())
        await turn(lane, older)
        newer = lane.runner(lane.agent())
        stop: Stop = asyncio.get_running_loop().create_future()
        running = asyncio.ensure_future(turn(lane, newer, stop))
        await asyncio.sleep(0)
        stop.set_result(OutcomeKind.CANCELLED)
        outcome = await running
        await older.close()
        await newer.close()
        return outcome

    assert asyncio.run(story()).kind is OutcomeKind.CANCELLED
    assert len(lane.noted("started")) == 1
