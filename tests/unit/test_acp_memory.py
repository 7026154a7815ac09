"""The file that remembers an ACP agent's session."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from raftsup.runners.acp import session_store

AGENT = session_store.identity(["agent", "--acp"], "/home")


def test_a_session_is_remembered_for_its_agent_alone(tmp_path: Path) -> None:
    path = tmp_path / "lane.json"
    assert session_store.recall(path, AGENT) == ""
    session_store.remember(path, AGENT, "s-1")
    session_store.remember(path, AGENT, "s-2")
    assert session_store.recall(path, AGENT) == "s-2"
    for other in (["agent"], "/home"), (["agent", "--acp"], "/"), (["agent --acp"], "/home"):
        assert session_store.recall(path, session_store.identity(*other)) == ""
    session_store.forget(path)
    session_store.forget(path)
    assert session_store.recall(path, AGENT) == ""


def test_the_file_is_private_and_holds_no_command(tmp_path: Path) -> None:
    path = tmp_path / "lane.json"
    session_store.remember(path, session_store.identity(["agent", "--key=secret"], "/home"), "s-1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret" not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"agent": 1}', '{"session": "s-1"}', "\xff"])
def test_a_file_that_cannot_be_read_is_no_memory(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lane.json"
    path.write_text(text, encoding="latin-1")
    assert session_store.recall(path, AGENT) == ""


def test_a_session_that_is_no_text_is_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "lane.json"
    path.write_text(f'{{"agent": "{AGENT}", "session": 5}}')
    assert session_store.recall(path, AGENT) == ""
