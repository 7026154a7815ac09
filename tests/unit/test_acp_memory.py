"""The file that remembers an ACP agent's session."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from raftsup.runners.acp import memory

AGENT = memory.identity(["agent", "--acp"], "/home")


def test_a_session_is_remembered_for_its_agent_alone(tmp_path: Path) -> None:
    path = tmp_path / "lane.json"
    assert memory.recall(path, AGENT) == ""
    memory.remember(path, AGENT, "s-1")
    memory.remember(path, AGENT, "s-2")
    assert memory.recall(path, AGENT) == "s-2"
    for other in (["agent"], "/home"), (["agent", "--acp"], "/"), (["agent --acp"], "/home"):
        assert memory.recall(path, memory.identity(*other)) == ""
    memory.forget(path)
    memory.forget(path)
    assert memory.recall(path, AGENT) == ""


def test_the_file_is_private_and_holds_no_command(tmp_path: Path) -> None:
    path = tmp_path / "lane.json"
    memory.remember(path, memory.identity(["agent", "--key=secret"], "/home"), "s-1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret" not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"agent": 1}', '{"session": "s-1"}', "\xff"])
def test_a_file_that_cannot_be_read_is_no_memory(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lane.json"
    path.write_text(text, encoding="latin-1")
    assert memory.recall(path, AGENT) == ""


def test_a_session_that_is_no_text_is_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "lane.json"
    path.write_text(f'{{"agent": "{AGENT}", "session": 5}}')
    assert memory.recall(path, AGENT) == ""
