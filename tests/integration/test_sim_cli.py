"""The ``raft`` command of an agent's turn, the demo's agent, and ``raftsup sim``."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftsup.sim import main as sim_main
from raftsup.sim import profiles, wire
from raftsup.sim.agent_api import AgentApi
from raftsup.sim.messages import parse
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


def test_check_prints_all_that_is_unread_as_the_cli_does(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    posted = [raft.workspace.post("support", f"text {n}", sender="@ann") for n in range(45)]
    raft.workspace.post("support", "two\nlines", target="dm:@ann", sender="@ann")
    told = cli(tmp_path, "message", "check").stdout
    first = told.splitlines()[0]
    assert re.fullmatch(
        rf"\[target=#general msg={posted[0].id[:8]} time=\S+Z type=human\] @ann: text 0", first
    )
    assert told.endswith("@ann: two\nlines\n\nNo more new inbox messages.\n")
    assert [line.text for line in parse(told)] == [m.text for m in posted] + ["two\nlines"]
    assert cli(tmp_path, "message", "check").stdout == "No new inbox messages.\n"


@pytest.mark.parametrize(("mode", "kept"), [("", False), ("next", True)])
def test_what_check_cannot_print_is_lost_to_0_0_24_and_kept_by_newer_ones(
    raft: RunningWorkspace, tmp_path: Path, mode: str, kept: bool
) -> None:
    raft.workspace.post("support", "x")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody_reads:
        code = subprocess.run(
            [*RAFT, "message", "check"],
            # Buffered, as it is for an agent: without a flush nothing is printed yet.
            env=environ(tmp_path, PYTHONUNBUFFERED="", RAFT_SIM_CLI_MODE=mode),
            stdout=nobody_reads,
            stderr=subprocess.DEVNULL,
            timeout=20,
        ).returncode
    assert code != 0
    assert (raft.workspace.messages()[0]["read_at"] is None) is kept


def test_a_held_send_says_what_to_look_at_and_its_draft_can_be_sent(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    raft.workspace.post("support", "wait, one more thing", target="#ops", sender="@ann")
    raft.fault("held", agent="support")
    send = ("message", "send", "--target", "#ops")
    held = cli(tmp_path, *send, stdin="done")
    assert held.returncode == 1
    assert held.stdout.startswith("Held — 1 unread message in #ops.")
    assert "@ann  wait, one more thing" in held.stdout
    assert 'raft message send --send-draft --target "#ops"' in held.stdout
    assert held.stderr.splitlines()[:2] == [
        "Error: Message held as draft; no target delivery occurred.",
        "Code: SEND_HELD_AS_DRAFT",
    ]
    assert not raft.workspace.replies()
    sent = cli(tmp_path, *send, "--send-draft")
    assert sent.returncode == 0 and sent.stdout.startswith("Message sent to #ops. Message ID: ")
    assert [r.text for r in raft.workspace.replies()] == ["done"]
    again = cli(tmp_path, *send, "--send-draft")
    assert "\nCode: SEND_DRAFT_NOT_FOUND\n" in again.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["message", "send", "--target", "#a"], "MISSING_CONTENT"),
        (["message", "send", "--target", "#a", "text"], "POSITIONAL_CONTENT_UNSUPPORTED"),
        (["message", "check", "--json"], "INVALID_ARG"),
        (["profile", "list"], "INVALID_ARG"),
        (["auth", "login"], "INVALID_ARG"),
        (["agent", "login"], "INVALID_ARG"),
        (["agent", "login", "--server", "http://x", "--agent", "@ann"], "INVALID_AGENT_ID"),
        (["manual", "get", "raft-cli-overview"], "knowledge_intent_invalid"),
        ([], "INVALID_ARG"),
    ],
)
def test_what_the_cli_does_not_take_ends_with_1_and_a_code(
    raft: RunningWorkspace, tmp_path: Path, words: list[str], code: str
) -> None:
    done = cli(tmp_path, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ") and f"\nCode: {code}\n" in done.stderr


def test_the_manual_wants_to_know_what_for(raft: RunningWorkspace, tmp_path: Path) -> None:
    why = ("--intent", "Learn the commands", "--reason", "A first turn begins")
    assert "message check" in cli(tmp_path, "manual", "get", "raft-cli-overview", *why).stdout


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
    ("fault", "told"),
    [
        ("revoke", "Error: This agent credential has been revoked.\nCode: CHECK_FAILED\n"),
        ("error", "Error: injected\nCode: SERVER_5XX\n"),
        ("reset", "Error: Unexpected error: fetch failed\nCode: INTERNAL_BUG\n"),
    ],
)
def test_a_command_that_fails_says_error_and_code(
    raft: RunningWorkspace, tmp_path: Path, fault: str, told: str
) -> None:
    raft.fault(fault)
    ended = cli(tmp_path, "message", "check")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", told)


def test_whoami_of_a_newer_cli_asks_the_server(raft: RunningWorkspace, tmp_path: Path) -> None:
    def whoami() -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [*RAFT, "auth", "whoami"], env=environ(tmp_path, RAFT_SIM_CLI_MODE="next"),
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout)

    code, told = whoami()
    assert (code, told["ok"], told["data"]["agentId"]) == (0, True, "agent-support")
    raft.refuse()
    code, told = whoami()
    assert (code, told["ok"], told["data"]["agentId"]) == (1, False, "agent-support")


def test_who_asks_says_who_it_is(raft: RunningWorkspace, tmp_path: Path) -> None:
    agent = raft.workspace.find("support")
    peer = wire.Peer(raft.url)
    bearer = {"authorization": f"Bearer {agent.token}"}
    path = "/internal/agent-api/wake-hints?since=0"
    assert peer.request("GET", path, bearer).status == 400
    asked = AgentApi(profiles.read("support", {"RAFT_HOME": str(tmp_path)})).get("/wake-hints")
    assert asked.ok and asked.data["wake_hints"] == []


# -- signing in


def login(raft_home: Path, url: str, token: str, *more: str, agent: str = "agent-support") -> Any:
    words = ("agent", "login", "--server", url, "--agent", agent, "--profile-slug", "new")
    return cli(raft_home, *words, *more, stdin=f"{token}\n")


def test_a_profile_is_signed_in_with_a_token_on_standard_input(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    token = raft.workspace.find("support").token
    done = login(tmp_path, raft.url, token)
    assert done.stdout.startswith("state: authorized\nLogged in as 'support' on ")
    path = tmp_path / "profiles" / "new" / "credential.json"
    credential = json.loads(path.read_text())
    assert credential.pop("createdAt").endswith("Z")
    assert credential == {
        "schemaVersion": 1,
        "serverUrl": raft.url,
        "agentId": "agent-support",
        "agentName": "support",
        "serverId": "server-sim",
        "credentialId": "cred-agent-support",
        "scopes": ["agent:messages", "agent:activity", "agent:wake"],
        "apiKey": token,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in done.stdout + done.stderr
    again = login(tmp_path, raft.url, "")
    assert again.returncode == 0 and again.stdout.startswith("state: already_logged_in\n")


@pytest.mark.parametrize(
    ("token", "agent", "code"),
    [
        ("", "agent-support", "INVALID_AGENT_TOKEN"),
        ("sk_agent_none", "agent-support", "INVALID_AGENT_TOKEN"),
        ("sk_agent_$", "agent-support", "INVALID_AGENT_TOKEN"),
        ("SUPPORT", "agent-engineering", "AGENT_IDENTITY_MISMATCH"),
    ],
)
def test_a_login_that_cannot_be_right_changes_nothing(
    raft: RunningWorkspace, tmp_path: Path, token: str, agent: str, code: str
) -> None:
    token = raft.workspace.find("support").token if token == "SUPPORT" else token
    done = login(tmp_path, raft.url, token, agent=agent)
    assert done.returncode == 1 and f"\nCode: {code}\n" in done.stderr
    assert not (tmp_path / "profiles" / "new").exists()


def test_a_profile_of_another_agent_is_not_replaced_and_a_revoked_one_is(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    assert login(tmp_path, raft.url, raft.workspace.find("support").token).returncode == 0
    other = login(tmp_path, raft.url, "", agent="agent-engineering")
    assert "\nCode: PROFILE_ALREADY_EXISTS\n" in other.stderr
    raft.refuse()
    unknown = login(tmp_path, raft.url, "")
    assert "\nCode: CREDENTIAL_CHECK_FAILED\n" in unknown.stderr
    raft.listen()
    token = raft.workspace.renew_token("support").token
    status = ("agent", "login", "status", "--server", raft.url, "--agent", "agent-support")
    status += ("--profile-slug", "new")
    assert cli(tmp_path, *status).stdout.startswith("state: expired\n")
    assert login(tmp_path, raft.url, token).stdout.startswith("state: authorized\n")
    assert cli(tmp_path, *status).stdout.startswith("state: usable\n")
    gone = (*status[:-1], "nobody")
    assert cli(tmp_path, *gone).stdout.startswith("state: missing\n")


def test_agents_are_listed_and_a_browser_can_sign_in(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    listed = cli(tmp_path, "agent", "list", "--server", raft.url)
    agents = json.loads(listed.stdout)["data"]["agents"]
    assert [(a["id"], a["name"]) for a in agents] == [
        ("agent-support", "support"),
        ("agent-engineering", "engineering"),
    ]
    assert "Open this browser authorization URL" in listed.stderr
    words = ("--server", raft.url, "--agent", "agent-support", "--profile-slug", "new")
    told = cli(tmp_path, "agent", "login", "start", *words).stdout
    wait = re.search(r"run `raft (agent login wait .+?)`", told)
    assert wait
    assert cli(tmp_path, *shlex.split(wait[1])).stdout.startswith("state: authorized\n")


def test_profiles_are_private(raft: RunningWorkspace, tmp_path: Path) -> None:
    path = tmp_path / "profiles" / "support" / "credential.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_stalled_server_answers_again_once_the_fault_is_cleared(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    raft.fault("stall", agent="support", count=1)
    waiting = subprocess.Popen(
        [*RAFT, "message", "check"], env=environ(tmp_path), stderr=subprocess.DEVNULL
    )
    wait_for(lambda: not raft.faults.list())  # it has met its one request
    raft.workspace.post("engineering", "x")
    assert cli(tmp_path, "--profile", "engineering", "message", "check").stdout
    assert waiting.poll() is None
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
    raft.fault("error", route="/internal/agent-api/v2/send")
    assert agent(tmp_path).returncode == 1
    assert raft.workspace.messages()[0]["read_at"] is not None
    journal = tmp_path / "profiles" / "support" / "agent" / "journal"
    journal.write_text(journal.read_text() + "[target=#general msg=torn")
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
