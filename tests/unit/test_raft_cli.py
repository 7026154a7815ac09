"""Asking the Raft CLI who is who."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raftsup.ops import raft_cli
from raftsup.ops.raft_cli import CliTrouble, Whoami, whoami
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
         r"failed: Error: no \[2J, Code: X; sign in with `raft --profile 'p q' auth login`"),
        ("exit 3", "it ended with 3"),
        ("echo '{}'", "told no agentId"),
        ("echo 'not json {'", "told no agentId"),
        ("sleep 60", "gave no answer in 0.2 s"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_told_with_what_to_do(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    monkeypatch.setattr(raft_cli, "PATIENCE", 0.2 if "sleep" in script else 30.0)
    with pytest.raises(CliTrouble, match=told):
        whoami(cli(tmp_path, script), "p q", environ)


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
