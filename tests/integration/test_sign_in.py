"""Profiles are signed in by setup: typed unseen, handed to the CLI, kept nowhere else."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pexpect
import psutil
import pytest

from raftsup import exit_codes
from tests.integration.host import AGENT, RAFT, RAFTSUP, Host, running, wait_for

RAFT_CLI = shlex.join(RAFT)
FLAGS = ["--command", RAFT_CLI, "--agent", json.dumps(AGENT), "--no-check", "--yes"]


@pytest.fixture
def host() -> Iterator[Host]:
    """A Raft with two agents, none of them signed in here, and no config."""
    with running() as host:
        shutil.rmtree(host.profiles)
        host.config_path.unlink()
        yield host


def token(host: Host, agent: str) -> str:
    return host.raft.workspace.find(agent).token


def setup(host: Host, *words: str) -> pexpect.spawn:
    argv = [*RAFTSUP, "setup", "--command", RAFT_CLI, "--agent", json.dumps(AGENT), *words]
    return pexpect.spawn(
        argv[0], argv[1:], env={**host.environ(), "TERM": "dumb"}, encoding="utf-8", timeout=20,
        dimensions=(50, 200),
    )  # fmt: skip


def talk(child: pexpect.spawn, *lines: tuple[str, str]) -> None:
    for expected, answer in lines:
        child.expect_exact(expected)
        child.sendline(answer)


class Watcher:
    """Looks at every argument and variable of this user's processes for a word."""

    def __init__(self, word: str) -> None:
        self.word, self.found = word, list[str]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.is_set():
            for process in psutil.process_iter():
                try:
                    seen = [*process.cmdline(), *process.environ().values()]
                except psutil.Error:
                    continue
                if any(self.word in text for text in seen):
                    self.found.append(str(process.pid))

    def end(self) -> list[str]:
        self._over.set()
        self._thread.join()
        return self.found


def test_from_no_profile_at_all_two_are_signed_in_without_their_tokens_being_seen(
    host: Host,
) -> None:
    watcher = Watcher(token(host, "support"))
    child = setup(host, "--no-check")
    shown: list[str] = []
    child.logfile_read = type("Log", (), {"write": shown.append, "flush": lambda _: None})()
    talk(
        child,
        ("Sign one in now [Y/n]: ", ""),
        ("Raft server [https://app.raft.build]: ", host.raft.url),
        ("Agent id", "@support"),
    )
    child.expect_exact("no @handle")
    talk(
        child,
        ("Agent id", "agent-support"),
        ("Profile name", "https://app.raft.build"),
    )
    child.expect_exact("no slash")
    talk(
        child,
        ("Profile name", "support"),
        ("Agent token", "sk_agent_of_nobody"),
    )
    child.expect_exact("INVALID_AGENT_TOKEN")
    talk(child, ("Agent token", token(host, "support")))
    child.expect_exact("Signed in: the profile support is the agent agent-support.")
    talk(
        child,
        ("Is that the one [Y/n]: ", ""),
        ("Account id [support]: ", ""),
        ("Another account [y/N]: ", "y"),
        ("Profile (number or name)", "+"),
        (f"Raft server [{host.raft.url}]: ", ""),
        ("Agent id", ""),  # lists them; the simulated person approves in the browser at once
        ("Number [1]: ", "2"),
        ("Profile name [sales]: ", ""),
        ("Agent token", token(host, "sales")),
        ("Is that the one [Y/n]: ", ""),
        ("Account id [sales]: ", ""),
        ("Number [1]: ", ""),
        ("Another account [y/N]: ", ""),
        ("Write it [Y/n]: ", ""),
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == exit_codes.OK
    assert watcher.end() == []
    whole = "".join(shown)
    for agent in ("support", "sales"):
        assert token(host, agent) not in whole
        kept = [p for p in host.root.rglob("*") if p.is_file() and
                token(host, agent).encode() in p.read_bytes()]  # fmt: skip
        assert kept == [host.profiles / agent / "credential.json"]
    done = host.run("config", "check")
    assert "support: profile support" in done.stdout and "sales: profile sales" in done.stdout


def to_the_token(host: Host) -> pexpect.spawn:
    child = setup(host)
    talk(
        child,
        ("Sign one in now [Y/n]: ", ""),
        ("Raft server", host.raft.url),
        ("Agent id", "agent-support"),
        ("Profile name", ""),
    )
    return child


def test_leaving_at_the_token_changes_nothing(host: Host) -> None:
    child = to_the_token(host)
    child.expect_exact("Agent token")
    child.sendcontrol("c")
    child.expect_exact("nothing was changed")
    child.expect(pexpect.EOF)
    assert not host.profiles.exists() and not host.config_path.exists()


def test_leaving_after_a_sign_in_says_what_stays(host: Host) -> None:
    child = to_the_token(host)
    talk(child, ("Agent token", token(host, "support")), ("Is that the one", ""))
    child.expect_exact("Account id")
    child.sendcontrol("c")
    child.expect_exact("the config was not changed, but the profile agent-support was signed in")
    child.expect(pexpect.EOF)
    assert not host.config_path.exists()


def by_flags(host: Host, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RAFTSUP, "setup", *FLAGS, *words], input=stdin, env=host.environ(),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_script_signs_in_with_the_token_on_standard_input(host: Host) -> None:
    words = ("--profile", "support", "--agent-id", "agent-support", "--server", host.raft.url)
    wrong = by_flags(host, *words, "--token-stdin", stdin="sk_agent_of_nobody\n")
    assert wrong.returncode == exit_codes.FAILED and "INVALID_AGENT_TOKEN" in wrong.stderr
    assert "copy it anew" in wrong.stderr and not host.config_path.exists()
    done = by_flags(host, *words, "--token-stdin", stdin=f"{token(host, 'support')}\n")
    assert done.returncode == exit_codes.OK, done.stderr
    assert token(host, "support") not in done.stdout + done.stderr
    host.up()
    host.ready("support")


@pytest.mark.parametrize(
    "words",
    [["--token-stdin"], ["--token-stdin", "--profile", "p"], ["--server", "http://x"]],
)
def test_flags_that_sign_in_say_what_they_need(host: Host, words: list[str]) -> None:
    done = by_flags(host, *words)
    assert done.returncode == exit_codes.USAGE and "--token-stdin" in done.stderr


def test_an_account_of_a_profile_that_is_not_signed_in_is_told_how_it_is(host: Host) -> None:
    assert by_flags(
        host, "--profile", "support", "--agent-id", "agent-support", "--server", host.raft.url,
        "--token-stdin", stdin=f"{token(host, 'support')}\n",
    ).returncode == exit_codes.OK  # fmt: skip
    done = host.run("account", "add", "sales", "--profile", "sales")
    assert done.returncode == exit_codes.FAILED
    assert "sign in: `raftsup setup --profile sales`" in done.stderr
    words = ("account", "add", "sales", "--profile", "sales", "--agent-id")
    told = host.run(*words, "agent-sales")
    assert told.returncode == exit_codes.OK
    assert "Not confirmed: " in told.stdout and "(PROFILE_FILE_UNREADABLE)" in told.stdout


def test_a_credential_that_is_revoked_is_told_and_a_new_one_is_taken_by_itself(host: Host) -> None:
    words = ("--profile", "support", "--agent-id", "agent-support", "--server", host.raft.url)
    first = by_flags(host, *words, "--token-stdin", stdin=f"{token(host, 'support')}\n")
    assert first.returncode == exit_codes.OK, first.stderr
    host.up()
    host.ready("support")
    host.raft.workspace.renew_token("support")
    # Its open stream lives on: only what it asks beside it is refused.
    wait_for(lambda: host.account("support")["bridge"]["state"] == "revoked", 30.0)
    account = host.account("support")
    assert account["state"] == "degraded" and account["bridge"]["pid"]
    assert '"Invalid agent credential"' in account["reason"]
    assert "its open stream brings still comes" in account["reason"]
    assert "fix: " in " ".join(host.run("doctor").stdout.split())
    host.raft.fault("drop")

    def refused() -> dict[str, Any]:
        account = host.account("support")
        return (
            account if "(BRIDGE_WAKE_" in account["reason"] and not account["bridge"]["pid"] else {}
        )

    account = wait_for(refused, what="the credential's end")
    assert account["state"] == "degraded"
    assert '"Invalid agent credential"' in account["reason"]
    doctor = " ".join(host.run("doctor").stdout.split())
    login = f"agent login --server {host.raft.url} --agent agent-support --profile-slug support"
    assert f"fix: {RAFT_CLI} {login}" in doctor
    assert "bridge_fatal errorCode=BRIDGE_WAKE_" in doctor
    assert "bridge_fatal errorCode=BRIDGE_WAKE_" in host.run("inspect", "support").stdout
    done = subprocess.run(
        [*RAFT, *shlex.split(login)], input=f"{token(host, 'support')}\n", env=host.environ(),
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    host.ready("support")
