"""Whom a running host runs, as its state folder tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftsup.config.model import Account, CommandAgent, Config
from raftsup.paths import StateDir
from raftsup.raft_home import Place
from raftsup.supervisor import active_accounts


def state_in(folder: Path) -> StateDir:
    state = StateDir(folder / "state")
    state.prepare()
    return state


def test_what_is_written_is_read_again_without_agents(tmp_path: Path) -> None:
    state, agent = state_in(tmp_path), CommandAgent(("agent", "--key", "secret"))
    runs = Account("a", True, "p", "agent-1", ("raft",), agent, "a")
    broken = Account("b", False, None, None, ("raft",), agent, "lane", problem="no profile")
    active_accounts.write(state, Config(None, (runs, broken)), {})
    assert b"secret" not in (state.root / "roster.json").read_bytes()
    assert active_accounts.read(state) == [
        Account("a", True, "p", None, (), None, "a"),
        Account("b", False, None, None, (), None, "lane", problem="no profile"),
    ]


def test_where_its_profiles_lie_is_told(tmp_path: Path) -> None:
    state, environ = state_in(tmp_path), {"RAFT_HOME": "/r", "SLOCK_PROFILE_DIR": "/one"}
    assert active_accounts.place(state) is None
    active_accounts.write(state, Config(None, ()), environ)
    assert active_accounts.place(state) == Place("/r", "/one")
    (state.root / "roster.json").write_text('{"version": 1, "accounts": []}')
    assert active_accounts.place(state) is None, "of an older host that still runs"


def test_that_of_an_older_host_that_still_runs_is_read(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    (state.root / "roster.json").write_text('[["a", true, "p", "lane", null]]')
    assert active_accounts.read(state) == [Account("a", True, "p", None, (), None, "lane")]


@pytest.mark.parametrize(
    "text",
    [
        None, "", "[1, 2]", "3", '[["a", true, "p", "a"]]', '{"version": 2, "accounts": []}',
        '{"version": 1}',
        '{"version": 1, "accounts": [{"id": "a"}]}', '{"version": 1, "accounts": 1}',
        '{"version": 1, "accounts": [{"id": "a", "unknown": 1}]}',
    ],
)  # fmt: skip
def test_one_that_is_spoilt_or_of_another_version_tells_nothing(
    text: str | None, tmp_path: Path
) -> None:
    state = state_in(tmp_path)
    if text is not None:
        (state.root / "roster.json").write_text(text)
    assert active_accounts.read(state) is None and active_accounts.place(state) is None
