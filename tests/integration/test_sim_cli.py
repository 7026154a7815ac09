"""The ``raft`` command of an agent's turn, the demo's agent, and ``raftsup sim``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup.sim import main as sim_main
from raftsup.sim.server import RunningWorkspace, running_workspace
from tests.integration.sim_bridge import RAFT, wait_for

AGENT = [sys.executable, "-m", "raftsup.sim.agent"]


@pytest.fixture
def raft(tmp_path: Path) -> Iterator[RunningWorkspace]:
    with running_workspace(["support", "engineering"], tmp_path) as running:
        yield running


def environ(raft_home: Path, **more: str) -> dict[str, str]:
    base = {k: v for k, v in os.environ.items() if not k.startswith(("RAFT_", "SLOCK_"))}
    return {
        **base,
        "RAFT_HOME": str(raft_home),
        "RAFT_PROFILE": "support",
        "RAFT_SIM_CLI": shlex.join(RAFT),
        **more,
    }


def cli(raft_home: Path, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RAFT, "--profile", "support", *args],
        env=environ(raft_home),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=20,
    )


def agent(raft_home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        AGENT,
        env=environ(raft_home, **more),
        input="a notice",
        capture_output=True,
        text=True,
        timeout=20,
    )


def runs(raft_home: Path) -> list[tuple[str, str]]:
    lines = (raft_home / "profiles" / "support" / "agent" / "runs.jsonl").read_text().splitlines()
    return [(run["event"], run["turn"]) for run in map(json.loads, lines)]


def test_check_prints_all_that_is_unread_and_acknowledges_it(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    for n in range(45):
        raft.workspace.post("support", f"text {n}")
    told = cli(tmp_path, "message", "check", "--json").stdout.splitlines()
    assert [json.loads(line)["text"] for line in told] == [f"text {n}" for n in range(45)]
    assert cli(tmp_path, "message", "check").stdout == ""


def test_check_that_cannot_print_acknowledges_nothing(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    raft.workspace.post("support", "x")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody_reads:
        code = subprocess.run(
            [*RAFT, "message", "check"],
            # Buffered, as it is for an agent: without a flush nothing is printed yet.
            env=environ(tmp_path, PYTHONUNBUFFERED=""),
            stdout=nobody_reads,
            stderr=subprocess.DEVNULL,
            timeout=20,
        ).returncode
    assert code != 0
    assert raft.workspace.messages()[0]["read_at"] is None


def test_send_takes_the_body_on_standard_input(raft: RunningWorkspace, tmp_path: Path) -> None:
    assert cli(tmp_path, "message", "send", "--target", "#ops", stdin="hi\nthere").returncode == 0
    [reply] = raft.workspace.replies()
    assert (reply.agent, reply.target, reply.text) == ("agent-support", "#ops", "hi\nthere")


def test_whoami_tells_the_agent_and_redacts_the_token(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    told = cli(tmp_path, "auth", "whoami").stdout
    assert json.loads(told) == {
        "ok": True,
        "data": {
            "agentId": "agent-support",
            "serverUrl": raft.url,
            "serverId": "server-sim",
            "clientMode": "self-hosted-runner",
            "secretSource": "profile-credential-file",
            "profileSlug": "support",
            "profileCredentialPath": str(tmp_path / "profiles" / "support" / "credential.json"),
        },
    }
    assert raft.workspace.find("support").token not in told


@pytest.mark.parametrize(
    ("fault", "code"), [("revoke", "AUTH_REVOKED"), ("error", "SERVER_UNREACHABLE")]
)
def test_a_command_that_fails_says_error_and_code(
    raft: RunningWorkspace, tmp_path: Path, fault: str, code: str
) -> None:
    raft.fault(fault)
    ended = cli(tmp_path, "message", "check")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.endswith(f"\nCode: {code}\n")


def test_profiles_are_private(raft: RunningWorkspace, tmp_path: Path) -> None:
    path = tmp_path / "profiles" / "support" / "credential.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_stalled_server_answers_again_once_the_fault_is_cleared(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    raft.fault("stall", agent="support")
    raft.workspace.post("engineering", "x")
    assert cli(tmp_path, "--profile", "engineering", "message", "check").stdout
    waiting = subprocess.Popen(
        [*RAFT, "message", "check"], env=environ(tmp_path), stderr=subprocess.DEVNULL
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.3)
    raft.clear_faults()
    assert waiting.wait(5) == 1


def test_the_agent_answers_every_message_of_its_inbox(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    for n in range(3):
        raft.workspace.post("support", f"m{n}", target=f"#c{n}")
    assert agent(tmp_path, RAFTSUP_TURN="7").returncode == 0
    answers = [(r.target, r.text) for r in raft.workspace.replies()]
    assert answers == [(f"#c{n}", f"echo: m{n}") for n in range(3)]
    assert runs(tmp_path) == [("begin", "7"), ("end", "7")]


def test_what_a_killed_agent_had_read_is_answered_by_the_next(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    raft.workspace.post("support", "x")
    raft.fault("error", route="/internal/agent-api/messages")
    assert agent(tmp_path).returncode == 1
    assert raft.workspace.messages()[0]["read_at"] is not None
    journal = tmp_path / "profiles" / "support" / "agent" / "journal.jsonl"
    journal.write_text(journal.read_text() + '{"message_id": "torn')
    raft.clear_faults()
    raft.workspace.post("support", "y")
    assert agent(tmp_path).returncode == 0
    assert [r.text for r in raft.workspace.replies()] == ["echo: x", "echo: y"]
    assert agent(tmp_path).returncode == 0
    assert len(raft.workspace.replies()) == 2


def test_the_agent_ends_or_hangs_as_it_is_told(raft: RunningWorkspace, tmp_path: Path) -> None:
    assert agent(tmp_path, RAFT_SIM_AGENT_EXIT="3").returncode == 3
    raft.workspace.post("support", "x")
    hanging = subprocess.Popen(
        AGENT, env=environ(tmp_path, RAFT_SIM_AGENT_HANG="1"), stdin=subprocess.DEVNULL
    )
    wait_for(lambda: len(runs(tmp_path)) == 3)
    hanging.kill()
    hanging.wait(5)
    assert raft.workspace.messages()[0]["read_at"] is None


def sim(*args: str) -> list[str]:
    code = (
        "import argparse, sys; from raftsup.sim import main;"
        "p = argparse.ArgumentParser(); main.add_arguments(p); sys.exit(main.run(p.parse_args()))"
    )
    return [sys.executable, "-c", code, *args]


def test_the_command_serves_keeps_profiles_and_ends_on_sigterm(tmp_path: Path) -> None:
    argv = sim("--port", "0", "--agent", "support", "--raft-home", str(tmp_path))
    tokens = set()
    for _ in range(2):
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as served:
            assert served.stdout is not None
            url = served.stdout.readline().split()[-1]
            said = subprocess.run(
                sim("send", "--url", url, "--to", "support", "hello"),
                capture_output=True,
                text=True,
                timeout=20,
            )
            assert said.returncode == 0
            assert "hello" in cli(tmp_path, "message", "check").stdout
            served.send_signal(signal.SIGTERM)
            assert served.wait(5) == 0
        tokens.add(
            json.loads((tmp_path / "profiles" / "support" / "credential.json").read_text())[
                "apiKey"
            ]
        )
    assert len(tokens) == 1


def test_faults_are_set_and_cleared_over_the_control_api(
    raft: RunningWorkspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    sim_main.add_arguments(parser)

    def run(*args: str) -> int:
        return sim_main.run(parser.parse_args(args))

    assert run("fault", "error", "--url", raft.url, "--agent", "support") == 0
    assert cli(tmp_path, "message", "check").returncode == 1
    assert run("fault", "clear", "--url", raft.url) == 0
    assert cli(tmp_path, "message", "check").returncode == 0
    assert run("send", "--url", raft.url, "--to", "nobody", "x") == 1
    assert "no agent 'nobody'" in capsys.readouterr().err
    assert run("fault", "refuse", "--url", raft.url, "--seconds", "0.2") == 0
    wait_for(lambda: run("messages", "--url", raft.url) == 0)
