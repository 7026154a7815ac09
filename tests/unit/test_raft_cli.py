"""Asking the Raft CLI who is who."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raftsup.ops import raft_cli
from raftsup.ops.raft_cli import CliTrouble, Listed, Whoami, whoami
from raftsup.raft_errors import Who
from tests.processes import alive, until


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": f"{tmp_path}:{os.defpath}", "HOME": str(tmp_path), "SECRET": "x"}


def cli(tmp_path: Path, script: str) -> list[str]:
    path = tmp_path / "raft"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return ["raft"]


def test_an_agent_id_is_read_below_data_as_the_cli_has_it(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    script = """echo '{"ok": true, "data": {"agentId": "a-1", "serverUrl": "https://r"}}'"""
    assert whoami(cli(tmp_path, script), "p", environ) == Whoami("a-1", "https://r")


def test_an_agent_id_is_read_also_behind_other_words(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    script = (
        'echo "a new version is out"; echo "{\\"agentId\\": \\"$2-id\\", \\"serverUrl\\": \\"u\\"}"'
    )
    assert whoami(cli(tmp_path, script), "p", environ) == Whoami("p-id", "u")


def test_the_cli_sees_none_of_the_operators_secrets(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    script = 'echo "{\\"agentId\\": \\"<$SECRET>\\"}"'
    assert whoami(cli(tmp_path, script), "p", environ).agent_id == "<>"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'Error: no\033[2J' >&2; echo 'Code: X' >&2; exit 1",
         r"auth whoami` failed: no \[2J$"),
        ("echo 'Error: none' >&2; echo 'Code: PROFILE_FILE_UNREADABLE' >&2; exit 1",
         r"failed: none \(PROFILE_FILE_UNREADABLE\); profile p q is not signed in here; sign in:"
         r" `raftsup setup --profile 'p q'`$"),
        ("exit 3", "it ended with 3"),
        ("echo '{}'", "told no agentId"),
        ("echo 'not json {'", "told no agentId"),
        ("sleep 60", "gave no answer in 0.2 s"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_told_with_what_to_do(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    monkeypatch.setattr(os, "environ", environ)
    with pytest.raises(CliTrouble, match=told):
        whoami(cli(tmp_path, script), "p q", environ, 0.2 if "sleep" in script else 30.0)


def test_a_cli_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    command = cli(tmp_path, f"sleep 300 &\necho $$ $! > {tmp_path}/pids\nwait")
    with pytest.raises(CliTrouble, match="gave no answer"):
        whoami(command, "p", environ, 1.0)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    until(lambda: not any(map(alive, pids)))


def test_a_missing_cli_is_told_with_how_to_install_it(environ: dict[str, str]) -> None:
    with pytest.raises(CliTrouble, match="npm i -g @botiverse/raft"):
        whoami(["no-such-raft"], "p", environ)


def test_a_cli_whose_path_was_written_is_not_said_to_be_missing_on_the_path() -> None:
    told = raft_cli.missing(["/opt/raft"])
    assert "that can be started" in told and "correct its path" in told and "PATH" not in told
    assert "on the PATH" in raft_cli.missing(["raft"])


def test_a_newer_cli_that_cannot_ask_raft_still_tells_whose_the_profile_is(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    script = (
        """echo '{"ok": false, "data": {"agentId": "a-1", "serverUrl": "u"}}'\n"""
        "printf 'Error: fetch failed\\nCode: CHECK_FAILED\\n' >&2; exit 1"
    )
    found = whoami(cli(tmp_path, script), "p", environ)
    assert (found.agent_id, found.server) == ("a-1", "u")
    assert "fetch failed (CHECK_FAILED)" in found.unconfirmed


def test_a_token_goes_by_standard_input_alone(tmp_path: Path, environ: dict[str, str]) -> None:
    script = f'echo "$@" > {tmp_path}/argv; env > {tmp_path}/env; cat > {tmp_path}/stdin'
    who = Who("support", cli(tmp_path, script), "a-1", "https://raft.invalid")
    raft_cli.login(who, "sk_agent_secret", environ)
    assert (tmp_path / "stdin").read_text() == "sk_agent_secret\n"
    assert (tmp_path / "argv").read_text().split() == [
        "agent", "login", "--server", "https://raft.invalid", "--agent", "a-1",
        "--profile-slug", "support",
    ]  # fmt: skip
    assert "secret" not in (tmp_path / "env").read_text()


def test_a_login_that_is_refused_has_the_clis_code_and_what_to_do(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    script = "printf 'Error: no\\nCode: AGENT_IDENTITY_MISMATCH\\n' >&2; exit 1"
    who = Who("support", cli(tmp_path, script), "a-1", "https://raft.invalid")
    with pytest.raises(CliTrouble, match="the token is of another agent") as refused:
        raft_cli.login(who, "sk_agent_secret", environ)
    assert refused.value.code == "AGENT_IDENTITY_MISMATCH"
    assert "secret" not in str(refused.value)


def test_agents_are_listed_as_the_cli_prints_them(tmp_path: Path, environ: dict[str, str]) -> None:
    listed = '{"ok": true, "data": {"agents": [{"id": "a", "name": "Ann"}, 7, {"id": "b"}]}}'
    script = f"echo '{listed}'"
    command = cli(tmp_path, script)
    assert raft_cli.agents(command, "u", environ) == [Listed("a", "Ann"), Listed("b", "")]
    with pytest.raises(CliTrouble, match="by hand"):
        raft_cli.agents(cli(tmp_path, "exit 1"), "u", environ)


@pytest.mark.parametrize(
    ("script", "standing"),
    [("echo 'state: usable'", "usable"), ("echo hello", ""), ("exit 1", "")],
)
def test_how_a_profile_stands_is_told_in_the_clis_word(
    tmp_path: Path, environ: dict[str, str], script: str, standing: str
) -> None:
    who = Who("support", cli(tmp_path, script), "a-1", "https://raft.invalid")
    assert raft_cli.standing(who, environ) == standing
