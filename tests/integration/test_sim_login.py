"""Signing in to the simulated Raft: ``raft agent login``, its actions, ``agent list``."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from raftsup.sim.server import RunningWorkspace, running_workspace
from tests.integration.sim_bridge import RAFT


@pytest.fixture
def raft() -> Iterator[RunningWorkspace]:
    with running_workspace(["support", "engineering"]) as running:
        yield running


def environ(raft_home: Path, **more: str) -> dict[str, str]:
    base = {k: v for k, v in os.environ.items() if not k.startswith(("RAFT_", "SLOCK_"))}
    return {**base, "RAFT_HOME": str(raft_home), **more}


def cli(raft_home: Path, *args: str, stdin: str = "", **more: str) -> Any:
    return subprocess.run(
        [*RAFT, *args], env=environ(raft_home, **more), input=stdin, capture_output=True, text=True,
        timeout=20, check=False,
    )  # fmt: skip


def words(url: str, agent: str = "agent-support", *more: str) -> tuple[str, ...]:
    return ("--server", url, "--agent", agent, "--profile-slug", "new", *more)


def login(raft_home: Path, url: str, token: str, agent: str = "agent-support", **env: str) -> Any:
    return cli(raft_home, "agent", "login", *words(url, agent), stdin=f"{token}\n", **env)


def status(raft_home: Path, url: str, agent: str = "agent-support") -> str:
    done = cli(raft_home, "agent", "login", "status", *words(url, agent))
    assert done.returncode == 0, done.stderr
    return str(done.stdout.splitlines()[0].removeprefix("state: "))


def credential(raft_home: Path) -> Path:
    return raft_home / "profiles" / "new" / "credential.json"


def code_of(done: Any) -> str:
    assert (done.returncode, done.stdout) == (1, "")
    found = re.search(r"^Code: (\S+)$", done.stderr, re.MULTILINE)
    assert found, done.stderr
    return found[1]


def test_a_profile_is_signed_in_with_a_token_on_standard_input(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    token = raft.workspace.find("support").token
    assert status(tmp_path, raft.url) == "missing"
    done = login(tmp_path, raft.url, token)
    assert done.stdout.startswith("state: authorized\nLogged in as 'support' on ")
    path = credential(tmp_path)
    written = json.loads(path.read_text())
    assert written.pop("createdAt").endswith("Z")
    assert written == {
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
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert token not in done.stdout + done.stderr
    assert cli(tmp_path, "--profile", "new", "message", "check").returncode == 0
    again = login(tmp_path, raft.url, "")
    assert again.returncode == 0 and again.stdout.startswith("state: already_logged_in\n")


def test_a_token_that_is_typed_is_not_shown(raft: RunningWorkspace, tmp_path: Path) -> None:
    token = raft.workspace.find("support").token
    person = pexpect.spawn(
        RAFT[0], [*RAFT[1:], "agent", "login", *words(raft.url)],
        env=environ(tmp_path), encoding="utf-8", timeout=20,
    )  # fmt: skip
    person.expect_exact("Agent token (input hidden): ")
    person.sendline(token)
    person.expect_exact("state: authorized")
    assert token not in person.before
    person.expect(pexpect.EOF)
    assert token not in person.before


@pytest.mark.parametrize(
    ("token", "agent", "code"),
    [
        ("", "agent-support", "INVALID_AGENT_TOKEN"),
        ("sk_agent_none", "agent-support", "INVALID_AGENT_TOKEN"),
        ("sk_agent_$", "agent-support", "INVALID_AGENT_TOKEN"),
        ("sk_agent_" + "x" * 4096, "agent-support", "INVALID_AGENT_TOKEN"),
        ("SUPPORT", "agent-engineering", "AGENT_IDENTITY_MISMATCH"),
        ("SUPPORT", "@ann", "INVALID_AGENT_ID"),
        ("SUPPORT", "#ops", "INVALID_AGENT_ID"),
        ("SUPPORT", "http://x", "INVALID_AGENT_ID"),
        ("SUPPORT", "", "INVALID_AGENT_ID"),
    ],
)
def test_a_login_that_cannot_be_right_changes_nothing(
    raft: RunningWorkspace, tmp_path: Path, token: str, agent: str, code: str
) -> None:
    token = raft.workspace.find("support").token if token == "SUPPORT" else token
    assert code_of(login(tmp_path, raft.url, token, agent)) == code
    assert not credential(tmp_path).parent.exists()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("error", "CREDENTIAL_CHECK_FAILED"),
        ("garbage", "CREDENTIAL_CHECK_FAILED"),
        ("reset", "CREDENTIAL_CHECK_FAILED"),
        ("revoke", "INVALID_AGENT_TOKEN"),
    ],
)
def test_a_server_that_cannot_say_whose_a_token_is(
    raft: RunningWorkspace, tmp_path: Path, fault: str, code: str
) -> None:
    raft.fault(fault)
    token = raft.workspace.find("support").token
    assert code_of(login(tmp_path, raft.url, token)) == code
    assert not credential(tmp_path).exists()


def test_variables_that_disagree_are_a_bug_to_login(raft: RunningWorkspace, tmp_path: Path) -> None:
    two = {"RAFT_PROFILE_DIR": "/a", "SLOCK_PROFILE_DIR": "/b"}
    assert code_of(login(tmp_path, raft.url, "", **two)) == "INTERNAL_BUG"


def test_a_profile_of_another_agent_is_not_replaced_and_a_revoked_one_is(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    assert login(tmp_path, raft.url, raft.workspace.find("support").token).returncode == 0
    other = login(tmp_path, raft.url, "", agent="agent-engineering")
    assert code_of(other) == "PROFILE_ALREADY_EXISTS"
    assert status(tmp_path, raft.url, "agent-engineering") == "mismatch"
    elsewhere = login(tmp_path, f"{raft.url}0", "")
    assert code_of(elsewhere) == "PROFILE_ALREADY_EXISTS"
    raft.refuse()
    assert code_of(login(tmp_path, raft.url, "")) == "CREDENTIAL_CHECK_FAILED"
    assert status(tmp_path, raft.url) == "unverified"
    raft.listen()
    raft.fault("revoke", agent="support")
    assert status(tmp_path, raft.url) == "expired"
    # A new token is good, whatever took the old one.
    done = login(tmp_path, raft.url, raft.renew_token("support"))
    assert done.stdout.startswith("state: authorized\n")
    assert done.stderr.startswith("Existing credential for profile 'new' is no longer valid.")
    assert status(tmp_path, raft.url) == "usable"
    credential(tmp_path).write_text("{}")
    assert status(tmp_path, raft.url) == "invalid"
    done = login(tmp_path, raft.url, raft.workspace.find("support").token)
    assert done.stdout.startswith("state: authorized\n")


def test_a_path_in_the_server_s_address_is_kept_by_login_alone(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    assert login(tmp_path, raft.url, raft.workspace.find("support").token).returncode == 0
    file = credential(tmp_path)
    file.write_text(file.read_text().replace(raft.url, f"{raft.url}/base"))
    assert status(tmp_path, f"{raft.url}/base") == "unverified"
    check = cli(tmp_path, "--profile", "new", "message", "check")
    assert check.stdout == "No new inbox messages.\n"


def test_agents_are_listed_and_a_browser_can_sign_in(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    listed = cli(tmp_path, "agent", "list", "--server", raft.url)
    told = json.loads(listed.stdout)
    assert told["ok"] and told["data"]["reason"] == "ok"
    assert [(a["id"], a["name"]) for a in told["data"]["agents"]] == [
        ("agent-support", "support"),
        ("agent-engineering", "engineering"),
    ]
    assert f"raft agent login --server {raft.url}" in told["data"]["suggested_next_action"]
    assert f"authorization URL: {raft.url}/device?user_code=" in listed.stderr
    said = cli(tmp_path, "agent", "login", "start", *words(raft.url)).stdout
    wait = re.search(r"run `raft (agent login wait .+?)`", said)
    assert said.startswith("state: pending_human_action\n") and wait
    assert cli(tmp_path, *shlex.split(wait[1])).stdout.startswith("state: authorized\n")


def test_what_nobody_approves_is_waited_for(raft: RunningWorkspace, tmp_path: Path) -> None:
    raft.fault("unapproved")
    with subprocess.Popen(
        [*RAFT, "agent", "list", "--server", raft.url],
        env=environ(tmp_path, RAFT_SIM_LOGIN_POLL="0.05"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as waiting:  # fmt: skip
        assert waiting.stdout is not None and waiting.stderr is not None
        assert "Open this browser authorization URL" in waiting.stderr.readline()
        # A server that is away meanwhile is waited out.
        raft.refuse()
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.3)
        raft.listen()
        raft.clear_faults()
        assert json.loads(waiting.stdout.read())["ok"]
        assert waiting.wait(5) == 0


def test_a_login_that_is_refused_in_the_browser_says_why(
    raft: RunningWorkspace, tmp_path: Path
) -> None:
    raft.fault("error", route="/api/auth/device/token", count=1)
    assert code_of(cli(tmp_path, "agent", "login", "wait", *words(raft.url),
                       "--device-code", "device-1")) == "token_failed"  # fmt: skip
    unknown = ("agent", "login", "wait", *words(raft.url, "agent-none"), "--device-code", "d")
    refused = cli(tmp_path, *unknown)
    assert code_of(refused) == "agent_missing"
    assert "Next action: Run `raft agent list --server " in refused.stderr
    raft.refuse()
    assert code_of(cli(tmp_path, "agent", "login", "start", *words(raft.url))) == "INTERNAL_BUG"
