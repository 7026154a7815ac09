"""`raftsup account` on a running host: one account changes, the others go on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from raftsup import exit_codes
from tests.integration.host import AGENT, RAFT, Host, running, wait_for

NOTE = "// the operator's own note"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host that runs the account support of two."""
    with running() as host:
        text = json.dumps(
            {"channels": {"raft": {"command": RAFT, "accounts": {
                "support": {"profile": "support", "agentId": "agent-support"}}}},
             "turns": {"agent": AGENT}}, indent=2,
        )  # fmt: skip
        host.config_path.write_text(f"{NOTE}\n{text}\n")
        host.up()
        host.ready("support")
        yield host


def run(host: Host, *words: str, code: int = exit_codes.OK, **env: str) -> str:
    done = host.run("account", *words, **env)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def pids(host: Host) -> tuple[int, int]:
    account = host.account("support")
    return account["endpoint"]["pid"], account["bridge"]["pid"]


def test_an_account_comes_and_goes_while_the_others_go_on(host: Host) -> None:
    before, text = pids(host), host.config_path.read_text()
    said = run(host, "add", "sales", "--profile", "sales")
    host.ready("sales")
    assert "accounts:sales" in said
    assert run(host, "disable", "sales")
    wait_for(lambda: host.account("sales")["state"] == "disabled")
    run(host, "enable", "sales")
    host.ready("sales")
    host.raft.workspace.post("sales", "are you there")
    host.answered("are you there")
    listed = json.loads(run(host, "list", "--json"))
    assert [(a["account"], a["enabled"], a["agentId"]) for a in listed] == [
        ("support", True, "agent-support"), ("sales", True, "agent-sales"),
    ]  # fmt: skip
    run(host, "remove", "sales")
    wait_for(lambda: [a["account"] for a in host.status()["accounts"]] == ["support"])
    assert host.config_path.read_text() == text, "every byte is as it was"
    assert pids(host) == before, "the other account was not touched"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["add", "support", "--profile", "x"], exit_codes.FAILED,
         "there is an account support already"),
        (["add", "sales", "--profile", "support"], exit_codes.FAILED,
         "that of the account support"),
        (["add", "sales", "--profile", "nobody"], exit_codes.FAILED, "--agent-id"),
        (["add", "sales", "--profile", "sales", "--agent-id", "agent-else"], exit_codes.FAILED,
         "--agent-id agent-else: the profile sales is the agent agent-sales"),
        (["add", "sales", "--profile", "nobody", "--agent-id", "agent-support"], exit_codes.FAILED,
         "account sales: it is the Raft agent agent-support, and so is support"),
        (["add", "sales", "--profile", "sales", "--agent", "{kind: 'x'}"], exit_codes.CONFIG,
         "is not a known kind of agent"),
        (["remove", "sales"], exit_codes.FAILED, "there are: support"),
        (["remove", "support"], exit_codes.FAILED, "support is the only account"),
        (["add", "Été", "--profile", "sales"], exit_codes.FAILED, "'été' is no account id"),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(
    host: Host, words: list[str], code: int, why: str
) -> None:
    text = host.config_path.read_text()
    assert why in run(host, *words, code=code)
    assert host.config_path.read_text() == text


def test_what_the_running_host_refuses_is_taken_back(host: Host) -> None:
    text = host.config_path.read_text()
    agent = "{ kind: 'command', command: ['x'], env: { KEY: '${NOT_SET_AT_THE_HOST}' } }"
    words = ["add", "sales", "--profile", "sales", "--agent", agent]
    said = run(host, *words, code=exit_codes.FAILED)
    assert "NOT_SET_AT_THE_HOST is not set" in said and "nothing was changed" in said
    assert host.config_path.read_text() == text
    assert host.account("support")["state"] == "ready"


def test_without_a_host_it_is_said_when_it_takes_effect(host: Host) -> None:
    path = host.root / "other.json5"
    path.write_text(host.config_path.read_text())
    state = str(host.root / "elsewhere")
    said = run(host, "disable", "support", "--config", str(path), RAFTSUP_STATE_DIR=state)
    assert "no host runs: it takes effect at the next start" in said
    assert NOTE in path.read_text() and '"enabled": false' in path.read_text()
    said = run(host, "disable", "support", "--config", str(path), RAFTSUP_STATE_DIR=state)
    assert "says so already" in said


@pytest.mark.parametrize("way", ["--no-reload", "off"])
def test_a_host_that_is_not_told_is_told_by_hand(host: Host, way: str) -> None:
    """Of another file, so that the running host's own stays."""
    path = host.root / f"{way}.json5"
    mode = ', "supervisor": { "reload": "off" }\n}' if way == "off" else "}"
    path.write_text(host.config_path.read_text().rstrip().removesuffix("}") + mode)
    words = ["disable", "support", "--config", str(path)]
    said = run(host, *words, *([way] if way != "off" else []))
    assert "apply it with `" in said and "raftsup reload`" in said
    assert host.account("support")["state"] == "ready"


def test_a_host_that_goes_by_another_file_is_not_said_to_have_applied_it(host: Host) -> None:
    path = host.root / "of-nobody.json5"
    path.write_text(host.config_path.read_text())
    said = run(host, "disable", "support", "--config", str(path))
    assert f"the running host goes by {host.config_path}" in said and "applied" not in said
    assert host.account("support")["state"] == "ready"
    link = host.root / "link.json5"
    link.symlink_to(host.config_path)
    assert "goes by" not in run(host, "enable", "support", "--config", str(link))
