"""The command runner, with real processes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from raftsup.config.model import Account, CommandAgent, Turns
from raftsup.dispatcher import attempt
from raftsup.paths import StateDir
from raftsup.proc import shim
from raftsup.runners.base import AttemptSpec, Stop
from raftsup.runners.command import TERM_GRACE_S, CommandRunner
from raftsup.runners.transcript import is_free, open_locked
from raftsup.turn import Outcome, OutcomeKind, State, Turn
from tests.processes import alive

PROFILE = "two words"
SECRET = "key-of-the-operator"


def python(code: str, *more: str, **settings: object) -> CommandAgent:
    return CommandAgent((sys.executable, "-c", code, *more), **settings)  # type: ignore[arg-type]


def work_for(state: StateDir, agent: CommandAgent, limit: int = 10_000) -> AttemptSpec:
    account = Account("support", True, PROFILE, None, ("raft",), agent, "support")
    turn = Turn(7, "support", State.RUNNING, attempt=2)
    environ = {**os.environ, "OPENAI_API_KEY": SECRET, "RAFT_CHANNEL_TOKEN": SECRET}

    async def remember(handle: str) -> None:
        raise AssertionError("a command has nothing to be found again by")

    return attempt.work_of(
        turn,
        account,
        Turns(transcript=limit),
        state,
        environ,
        seconds=600.0,
        remember=remember,
        report=lambda step: None,
    )


async def run_async(
    state: StateDir,
    agent: CommandAgent,
    limit: int = 10_000,
    stop: Stop | None = None,
    term_grace: float = TERM_GRACE_S,
) -> tuple[Outcome, str]:
    work = work_for(state, agent, limit)
    stop = stop or asyncio.get_running_loop().create_future()
    runner = CommandRunner(agent, {}, term_grace=term_grace)
    outcome = await asyncio.wait_for(runner.run(work, stop), 30)
    # Nothing of it runs any more; a shim that was forked meanwhile closes what it inherited.
    await until(lambda: is_free(work.transcript))
    return outcome, work.transcript.read_text(errors="replace")


def run(state: StateDir, agent: CommandAgent, limit: int = 10_000) -> tuple[Outcome, str]:
    return asyncio.run(run_async(state, agent, limit))


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.005)


def test_the_notice_comes_on_standard_input_and_then_ends(state: StateDir) -> None:
    agent = python("import sys; print(sys.stdin.read(), end='')")
    outcome, said = run(state, agent)
    assert outcome == Outcome(OutcomeKind.SUCCEEDED)
    assert said == work_for(state, agent).notice
    assert "raft --profile 'two words' message check" in said


def test_the_notice_comes_in_an_argument_instead_where_one_asks_for_it(state: StateDir) -> None:
    code = "import json, sys; print(json.dumps([sys.argv[1:], sys.stdin.read()]))"
    agent = python(code, "--prompt={notice}", "$(id)")
    _, said = run(state, agent)
    notice = work_for(state, agent).notice
    assert json.loads(said) == [[f"--prompt={notice}", "$(id)"], ""]


def test_a_turn_sees_a_clean_environment_with_its_own_settings(state: StateDir) -> None:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    _, said = run(state, python(code, env={"MODEL_KEY": "mine", "RAFTSUP_TURN": "999"}))
    env = json.loads(said)
    assert SECRET not in env.values()
    assert not {"OPENAI_API_KEY", "RAFT_CHANNEL_TOKEN"} & env.keys()
    assert env["PATH"] == os.environ["PATH"]
    assert {name: value for name, value in env.items() if name.startswith(("RAFT", "MODEL"))} == {
        "MODEL_KEY": "mine",
        "RAFT_PROFILE": PROFILE,
        "RAFTSUP_ACCOUNT": "support",
        "RAFTSUP_TURN": "7",  # what finds a lost process is not the agent's to set
        "RAFTSUP_ATTEMPT": "2",
        "RAFTSUP_STATE_DIR": str(state.root),
    }


def test_the_command_runs_in_its_folder(state: StateDir, tmp_path: Path) -> None:
    _, said = run(state, python("import os; print(os.getcwd())", cwd=str(tmp_path)))
    assert said == f"{tmp_path}\n"


def test_a_missing_program_is_named_and_costs_no_attempt(state: StateDir) -> None:
    outcome, _ = run(state, CommandAgent(("no-such-agent",)))
    assert outcome == Outcome(
        OutcomeKind.POSTPONED, "cannot start the agent: no-such-agent: No such file or directory"
    )


def test_a_missing_folder_is_named_and_costs_no_attempt(state: StateDir, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    outcome, _ = run(state, CommandAgent(("true",), cwd=gone))
    assert outcome == Outcome(
        OutcomeKind.POSTPONED, f"cannot start the agent: {gone}: No such file or directory"
    )


def test_a_runner_is_unavailable_while_its_program_or_folder_is_away(tmp_path: Path) -> None:
    program, folder = tmp_path / "bin" / "agent", tmp_path / "work"
    runner = CommandRunner(CommandAgent(("agent",), cwd=str(folder)), {"PATH": str(program.parent)})
    assert runner.unavailable() == f"there is no folder {folder}; make it, or change cwd"
    folder.mkdir()
    assert f"no program agent on the PATH ({program.parent})" in runner.unavailable()
    program.parent.mkdir()
    program.touch(0o755)
    assert runner.unavailable() == ""
    program.rename(program.with_suffix(".old"))
    assert "there is no program agent" in runner.unavailable()


def test_the_tilde_of_a_program_is_the_home(
    state: StateDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    agent = tmp_path / "agent"
    agent.write_text('#!/bin/sh\necho "$1"\n')
    agent.chmod(0o755)
    outcome, said = run(state, CommandAgent(("~/agent", "~/as it is")))
    assert (outcome, said) == (Outcome(OutcomeKind.SUCCEEDED), "~/as it is\n")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "the agent exited with 3"),
        ("import os; os.kill(os.getpid(), 9)", "the agent was killed by SIGKILL"),
    ],
)
def test_the_reason_of_a_failure_is_how_the_agent_ended(
    state: StateDir, code: str, reason: str
) -> None:
    outcome, _ = run(state, python(code))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, reason)


def test_output_and_errors_go_to_a_private_transcript(state: StateDir) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    agent = python(code)
    assert run(state, agent)[1] == "out\nerr\n"
    transcript = work_for(state, agent).transcript
    assert transcript == state.turns / "7.2.log"
    assert stat.S_IMODE(transcript.stat().st_mode) == 0o600


def test_a_flood_of_output_ends_and_its_middle_is_left_out(state: StateDir) -> None:
    size = 32 << 20
    code = f"import sys; sys.stdout.write('first' + 'x' * {size} + 'last')"
    before = psutil.Process().memory_info().rss
    outcome, said = run(state, python(code), limit=4096)
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert said.startswith("first") and said.endswith("last")
    assert f"[... {size + 9 - 4096} bytes left out ...]" in said
    assert len(said) < 4096 + 100
    assert psutil.Process().memory_info().rss - before < size / 2


def test_a_transcript_that_is_still_locked_starts_no_second_attempt(state: StateDir) -> None:
    agent = python("print('ran')")
    transcript = work_for(state, agent).transcript
    lock = open_locked(transcript)
    stop_free = asyncio.run(_outcome_while_locked(state, agent))
    os.close(lock)
    assert stop_free.kind is OutcomeKind.POSTPONED
    assert stop_free.reason == f"{transcript}: an attempt still runs"
    assert transcript.read_text() == ""


async def _outcome_while_locked(state: StateDir, agent: CommandAgent) -> Outcome:
    stop: Stop = asyncio.get_running_loop().create_future()
    return await CommandRunner(agent, {}).run(work_for(state, agent), stop)


#: Prints a pid, and ends when asked.
POLITE = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
#: The same, for a child of the agent that ignores TERM and has left the agent's group.
STUBBORN = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(600)"],
    stdout=subprocess.PIPE, start_new_session=bool(int(sys.argv[1])))
child.stdout.readline()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


async def pids_in(state: StateDir, count: int) -> list[int]:
    transcript = state.transcript(7, 2)

    def pids() -> list[int]:
        text = transcript.read_text() if transcript.exists() else ""
        return [int(word) for word in text.split()] if text.endswith("\n") else []

    await until(lambda: len(pids()) == count)
    return pids()


async def stopped(
    state: StateDir,
    agent: CommandAgent,
    count: int,
    kind: OutcomeKind,
    term_grace: float = TERM_GRACE_S,
) -> tuple[Outcome, str, list[int]]:
    stop: Stop = asyncio.get_running_loop().create_future()
    running = asyncio.ensure_future(run_async(state, agent, stop=stop, term_grace=term_grace))
    pids = await pids_in(state, count)
    stop.set_result(kind)
    outcome, said = await running
    return outcome, said, pids


@pytest.mark.parametrize(
    "kind", [OutcomeKind.TIMED_OUT, OutcomeKind.CANCELLED, OutcomeKind.INTERRUPTED]
)
def test_a_turn_that_must_end_is_asked_first_and_its_output_is_kept(
    state: StateDir, kind: OutcomeKind
) -> None:
    outcome, said, pids = asyncio.run(stopped(state, python(POLITE), 1, kind))
    assert outcome == Outcome(kind, "the agent ended when asked")
    assert said == f"{pids[0]}\n"
    assert not alive(pids[0])


@pytest.mark.parametrize("own_session", ["0", "1"])
def test_what_does_not_end_when_asked_is_killed_with_all_it_started(
    state: StateDir, own_session: str
) -> None:
    agent = python(STUBBORN, own_session)
    outcome, _, pids = asyncio.run(stopped(state, agent, 2, OutcomeKind.TIMED_OUT, 0.1))
    assert outcome == Outcome(
        OutcomeKind.TIMED_OUT, "the agent had to be killed 0.1 s after it was asked to end"
    )
    assert not any(alive(pid) for pid in pids)


def test_a_stop_that_came_before_the_start_ends_the_turn(state: StateDir) -> None:
    async def story() -> Outcome:
        stop: Stop = asyncio.get_running_loop().create_future()
        stop.set_result(OutcomeKind.CANCELLED)
        return (await run_async(state, python(POLITE), stop=stop))[0]

    assert asyncio.run(story()).kind is OutcomeKind.CANCELLED


def test_the_deadline_of_a_turn_is_its_timeout(state: StateDir) -> None:
    async def story() -> Outcome:
        agent = python(POLITE)
        stop: Stop = asyncio.get_running_loop().create_future()
        work = replace(work_for(state, agent), seconds=0.2)
        return await attempt.run(CommandRunner(agent, {}), work, stop, 0.2)

    outcome = asyncio.run(story())
    assert outcome == Outcome(
        OutcomeKind.TIMED_OUT, "ran over turns.timeout (0.2 s); the agent ended when asked"
    )


#: Its child leaves the session, keeps the transcript's pipe, and holds no lock.
DESERTER = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


def test_a_killed_shim_leaves_nothing_running_and_hangs_no_lane(state: StateDir) -> None:
    async def story() -> tuple[Outcome, list[int]]:
        running = asyncio.ensure_future(run_async(state, python(DESERTER)))
        pids = await pids_in(state, 2)
        os.kill(psutil.Process(pids[0]).ppid(), signal.SIGKILL)
        return (await running)[0], pids

    outcome, pids = asyncio.run(story())
    assert outcome.reason == "the agent was killed together with its shim"
    assert not any(alive(pid) for pid in pids)


def test_what_one_attempt_left_is_found_without_touching_another(state: StateDir) -> None:
    async def story() -> tuple[bool, list[int]]:
        other = psutil.Popen(
            ["sleep", "600"], env={**work_for(state, python("")).env, "RAFTSUP_ATTEMPT": "3"}
        )
        try:
            running = asyncio.ensure_future(run_async(state, python(DESERTER)))
            pids = await pids_in(state, 2)
            os.kill(psutil.Process(pids[0]).ppid(), signal.SIGKILL)
            await running
            return alive(other.pid), pids
        finally:
            other.kill()
            other.wait()

    other_lives, pids = asyncio.run(story())
    assert other_lives
    assert not any(alive(pid) for pid in pids)


def test_no_text_of_a_setting_is_shown_when_an_agent_is_printed() -> None:
    agent = dataclasses.replace(python(""), env={"KEY": SECRET})
    assert SECRET not in repr(agent)


#: Leaves a daemon that holds its output, in a session of its own, with its environment or without.
DAEMON = """
import os, subprocess, sys
env = dict(os.environ) if sys.argv[1] == "marked" else {}
c = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=env,
                     start_new_session=True)
print(c.pid, flush=True)
"""


@pytest.mark.parametrize("kind", ["marked", "clean"])
def test_a_shim_killed_before_it_has_killed_what_is_left_holds_nobody_up(
    state: StateDir, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shim, "_end_all", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    outcome, said = run(state, python(DAEMON, kind))
    assert outcome == Outcome(OutcomeKind.SUCCEEDED)
    left = int(said)
    if kind == "marked":
        assert not alive(left)
    else:  # nobody can know it; it keeps neither the turn nor its lane
        os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize("kind", [OutcomeKind.TIMED_OUT, OutcomeKind.CANCELLED])
def test_a_turn_whose_shim_is_stopped_ends_all_the_same(state: StateDir, kind: OutcomeKind) -> None:
    async def story() -> tuple[Outcome, int]:
        stop: Stop = asyncio.get_running_loop().create_future()
        agent = python(STUBBORN, "1")
        running = asyncio.ensure_future(run_async(state, agent, stop=stop, term_grace=0.1))
        pids = await pids_in(state, 2)
        above = psutil.Process(pids[0]).parent()
        assert above is not None
        above.suspend()
        stop.set_result(kind)
        outcome, _ = await running
        await until(lambda: not any(alive(pid) for pid in [*pids, above.pid]))
        return outcome, above.pid

    outcome, _ = asyncio.run(story())
    assert outcome.kind is kind
