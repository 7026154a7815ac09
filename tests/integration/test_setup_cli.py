"""`raftsup setup` against the simulated Raft: by a person, by flags, from OpenClaw."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import json5
import pexpect
import pytest

from raftsup import exit_codes
from tests.integration.host import AGENT, RAFT, RAFTSUP, Host, running

RAFT_CLI = shlex.join(RAFT)
FLAGS = ["--command", RAFT_CLI, "--agent", json.dumps(AGENT), "--yes"]


@pytest.fixture(scope="module")
def raft() -> Iterator[Host]:
    """A simulated Raft with two agents and a host that is never started."""
    with running() as host:
        yield host


@pytest.fixture
def host(raft: Host) -> Host:
    """No config file yet."""
    raft.config_path.unlink(missing_ok=True)
    return raft


def tree(host: Host) -> Any:
    return json5.loads(host.config_path.read_text())


@pytest.fixture
def person(host: Host) -> Iterator[pexpect.spawn]:
    """Somebody in front of a terminal, who has typed `raftsup setup`."""
    argv = [*RAFTSUP, "setup", "--command", RAFT_CLI]
    child = pexpect.spawn(
        argv[0], argv[1:], env={**host.environ(), "TERM": "dumb"}, encoding="utf-8", timeout=20,
        dimensions=(50, 200), echo=False,
    )  # fmt: skip
    yield child
    child.close(force=True)


def talk(child: pexpect.spawn, *lines: tuple[str, str]) -> None:
    for expected, answer in lines:
        child.expect_exact(expected)
        child.sendline(answer)


def test_a_person_comes_from_nothing_to_a_config_and_the_next_command(
    person: pexpect.spawn, host: Host
) -> None:
    person.expect_exact("Raft CLI: ")
    person.expect_exact("1) sales")
    person.expect_exact("2) support")
    talk(
        person,
        ("Profile (number or name) [sales]: ", "support"),
        ("the agent agent-support at http", ""),
        ("Account id [support]: ", "Help Desk"),
        ("is no account id", "desk"),
        ("Number [1]: ", "1"),
        ("Its command line", shlex.join(AGENT["command"])),
        ("Its folder", ""),
        ("Environment variables it needs", "RAFT_SIM_CLI"),
        ("Another account [y/N]: ", "y"),
        ("Profile (number or name) [sales]: ", "1"),
        ("Is that the one [Y/n]: ", "y"),
        ("Account id [sales]: ", ""),
        ("the same as the other accounts (command)", ""),
        ("Another account [y/N]: ", "n"),
        ("not set here: RAFT_SIM_CLI", ""),
    )
    person.expect_exact('desk: { profile: "support", agentId: "agent-support" }')
    assert not host.config_path.exists(), "nothing is written before it is agreed to"
    person.expect_exact("Write it [Y/n]: ")
    person.expect_exact("export RAFT_SIM_CLI=...")
    person.expect_exact("raftsup up -d && raftsup status")
    person.expect(pexpect.EOF)
    person.close()
    assert person.exitstatus == exit_codes.OK
    assert tree(host)["turns"]["agent"]["env"] == {"RAFT_SIM_CLI": "${RAFT_SIM_CLI}"}
    checked = host.run("config", "check", "--live", RAFT_SIM_CLI=RAFT_CLI)
    assert checked.returncode == exit_codes.OK, checked.stdout + checked.stderr


def test_who_declines_what_is_to_be_written_answers_anew_from_what_was_said(
    person: pexpect.spawn, host: Host
) -> None:
    talk(
        person,
        ("Profile (number or name) [sales]: ", "2"),
        ("Is that the one", ""),
        ("Account id [support]: ", "desk"),
        ("Number [1]: ", "1"),
        ("Its command line", "no-such-agent-7f3"),
        ("Its folder", ""),
        ("Environment variables it needs", ""),
        ("Another account [y/N]: ", "n"),
        ("there is no program no-such-agent-7f3", ""),
        ("Answer again (what you said is offered) [Y/n]: ", ""),
        ("Profile (number or name) [support]: ", ""),
        ("Is that the one", ""),
        ("Account id [desk]: ", ""),
        ("Number [1]: ", ""),
        ("Its command line [no-such-agent-7f3]: ", "true"),
        ("Its folder", ""),
        ("Environment variables it needs", ""),
        ("Another account [y/N]: ", "n"),
        ("Write it [Y/n]: ", "n"),
        ("Answer again (what you said is offered) [Y/n]: ", "n"),
    )
    person.expect_exact("nothing was changed")
    person.expect(pexpect.EOF)
    person.close()
    assert person.exitstatus == exit_codes.FAILED and not host.config_path.exists()


@pytest.mark.parametrize("end", ["ctrl-c", "ctrl-d"])
def test_leaving_in_the_middle_changes_nothing(person: pexpect.spawn, host: Host, end: str) -> None:
    talk(person, ("Profile (number or name)", ""), ("Is that the one", ""))
    person.expect_exact("Account id")
    person.expect_exact("]: ")  # the whole prompt: a key is lost while its editor starts
    person.sendcontrol("c") if end == "ctrl-c" else person.sendeof()
    person.expect_exact("nothing was changed")
    person.expect(pexpect.EOF)
    person.close()
    assert person.exitstatus == (130 if end == "ctrl-c" else exit_codes.FAILED)
    assert not host.config_path.exists()


def test_a_profile_that_is_not_signed_in_can_be_fixed_meanwhile(
    person: pexpect.spawn, host: Host
) -> None:
    talk(person, ("Profile (number or name)", "nobody"))
    person.expect_exact("PROFILE_FILE_UNREADABLE")
    person.expect_exact("sign in: `")
    talk(person, ("Number [1]: ", "3"), ("Profile (number or name)", "support"))
    person.expect_exact("the agent agent-support at")


def test_the_answers_may_come_through_a_pipe(host: Host) -> None:
    answers = ["support", "y", "", "1", "true", "", "", "n", "y"]
    done = subprocess.run(
        [*RAFTSUP, "setup", "--command", RAFT_CLI], input="\n".join(answers) + "\n",
        env=host.environ(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == exit_codes.OK, done.stdout + done.stderr
    assert tree(host)["turns"]["agent"] == {"kind": "command", "command": ["true"]}


def test_a_second_account_of_one_agent_is_warned_of(host: Host) -> None:
    assert host.run("setup", "--profile", "support", *FLAGS).returncode == exit_codes.OK
    made = host.run("setup", "--profile", "nobody", "--agent-id", "agent-support", *FLAGS)
    assert made.returncode == exit_codes.OK and "Not confirmed: " in made.stdout
    told = "Warning: account nobody: it is the Raft agent agent-support, and so is support: "
    assert told in made.stdout


def test_flags_alone_make_a_config_and_add_to_one_that_is_there(host: Host) -> None:
    made = host.run("setup", "--profile", "support", *FLAGS)
    assert made.returncode == exit_codes.OK and "raftsup up -d" in made.stdout, made.stderr
    text = host.config_path.read_text()
    host.config_path.write_text("// my own words\n" + text)
    more = host.run("setup", "--profile", "sales", "--account", "shop", *FLAGS)
    assert more.returncode == exit_codes.OK, more.stderr
    assert host.config_path.read_text().startswith("// my own words\n// raftsup's config")
    assert tree(host)["channels"]["raft"]["accounts"] == {
        "support": {"profile": "support", "agentId": "agent-support"},
        "shop": {"profile": "sales", "agentId": "agent-sales"},
    }
    again = host.run("setup", "--profile", "sales", *FLAGS)
    assert "says so already" in again.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--yes"], exit_codes.USAGE, "write it as --profile P"),
        (["--profile", "support", "--yes"], exit_codes.USAGE, "write it as --agent '<JSON5>'"),
        (["--profile", "nobody", *FLAGS], exit_codes.FAILED, "PROFILE_FILE_UNREADABLE"),
        (["--profile", "support", "--agent-id", "agent-sales", *FLAGS], exit_codes.FAILED,
         "the profile support is the agent agent-support"),
        (["--profile", "support", "--agent", "{kind: 'comand'}", "--yes"], exit_codes.CONFIG,
         'did you mean "command"?'),
        (["--profile", "support", "--agent", "{kind: 'command', command: ['/no/such']}", "--yes"],
         exit_codes.FAILED, "--no-check"),
        (["--profile", "support", "--command", "'x", "--yes"], exit_codes.USAGE,
         "No closing quotation"),
        (["--from-openclaw", "x", "--profile", "support", "--yes"], exit_codes.USAGE, "leave out"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_said_and_nothing_is_written(
    host: Host, words: list[str], code: int, said: str
) -> None:
    done = host.run("setup", "--command", RAFT_CLI, *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert not host.config_path.exists()


def test_the_variables_of_another_account_do_not_keep_an_agent_from_being_tried(
    host: Host,
) -> None:
    host.configure({"support": {}}, turns={"agent": {**AGENT, "env": {"K": "${SUPPORTS_KEY}"}}})
    done = host.run("setup", "--profile", "sales", *FLAGS)
    assert done.returncode == exit_codes.OK, done.stderr
    assert "can be started" in done.stdout and "export SUPPORTS_KEY=..." in done.stdout
    done = host.run("setup", "--profile", "support", "--no-check", "--yes")
    assert "says so already" in done.stdout, "nothing is asked of what is there"


def test_a_profile_that_openclaw_takes_from_a_variable_is_asked_for_by_its_value(
    host: Host, tmp_path: Path
) -> None:
    openclaw = tmp_path / "openclaw.json"
    openclaw.write_text('{ channels: { raft: { profile: "${OF_RAFT}" } } }')
    done = host.run(
        "setup", "--from-openclaw", str(openclaw), "--command", RAFT_CLI, "--yes", "--no-check",
        OF_RAFT="support",
    )  # fmt: skip
    assert done.returncode == exit_codes.OK, done.stderr
    accounts = tree(host)["channels"]["raft"]["accounts"]
    assert accounts["default"] == {"profile": "${OF_RAFT}", "agentId": "agent-support"}


def test_a_file_that_cannot_be_written_is_told_before_the_first_question(host: Host) -> None:
    host.config_path.write_text("{}")
    host.config_path.chmod(0o400)
    done = host.run("setup", "--command", RAFT_CLI)
    assert done.returncode == exit_codes.FAILED and "is read-only" in done.stderr
    assert "Config:" not in done.stdout and host.config_path.read_text() == "{}"


def test_a_missing_raft_cli_is_told_with_how_to_get_it(host: Host) -> None:
    done = host.run("setup", "--profile", "support", "--yes", PATH="/nowhere")
    assert done.returncode == exit_codes.USAGE
    assert "npm i -g @botiverse/raft" in done.stdout and "--command CLI" in done.stderr


def test_an_openclaw_is_taken_over_without_its_secret(host: Host, tmp_path: Path) -> None:
    openclaw = tmp_path / "openclaw.json"
    openclaw.write_text("""{
      // the Gateway's own file
      gateway: { port: 19001, auth: { mode: "token", token: "planted-secret" } },
      channels: { raft: { accounts: { support: { profile: "support" }, sales: { profile: "sales" } } } },
      bindings: [{ agentId: "shop", match: { channel: "raft", accountId: "sales" } }],
    }""")  # noqa: E501
    done = host.run(
        "setup", "--from-openclaw", str(openclaw), "--command", RAFT_CLI, "--yes", "--no-check"
    )
    assert done.returncode == exit_codes.OK, done.stderr
    assert tree(host)["turns"]["agent"] == {
        "kind": "openclaw",
        "url": "ws://127.0.0.1:19001",
        "token": "${OPENCLAW_GATEWAY_TOKEN}",
    }
    assert tree(host)["channels"]["raft"]["accounts"] == {
        "support": {"profile": "support", "agentId": "agent-support"},
        "sales": {"profile": "sales", "agentId": "agent-sales", "agent": {"agentId": "shop"}},
    }
    assert "openclaw plugins disable raft" in done.stdout
    assert "export OPENCLAW_GATEWAY_TOKEN=..." in done.stdout and "was not copied" in done.stdout
    written = host.config_path.read_text() + done.stdout + done.stderr
    assert "planted-secret" not in written
    # Without --no-check its token is used to try the Gateway, which is not there.
    host.config_path.unlink()
    tried = host.run("setup", "--from-openclaw", str(openclaw), "--command", RAFT_CLI, "--yes")
    assert tried.returncode == exit_codes.FAILED and "cannot be reached" in tried.stdout
    assert "planted-secret" not in tried.stdout + tried.stderr
    assert not host.config_path.exists()


@pytest.mark.parametrize(
    "flags",
    [("--profile", "sk_agent_0123"), ("--profile", "https://app.raft.build"),
     ("--profile", "p", "--agent-id", "sk_agent_0123"),
     ("--profile", "p", "--agent-id", "a", "--token-stdin", "--server", "support")],
)  # fmt: skip
def test_a_slip_in_a_flag_is_refused_before_the_cli_sees_it(
    host: Host, flags: tuple[str, ...]
) -> None:
    before = host.config_path.read_text() if host.config_path.exists() else None
    done = host.run("setup", "--yes", *flags)
    assert done.returncode == exit_codes.USAGE
    assert before == (host.config_path.read_text() if host.config_path.exists() else None)
    assert flags[-2] in done.stderr
    assert "sk_agent_0123" not in done.stdout + done.stderr
