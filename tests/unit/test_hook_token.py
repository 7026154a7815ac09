"""An attempt's token: made of the worker's key, good for that attempt alone and while it runs."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from raftsup import hook_token
from raftsup.config.model import Account, AcpAgent, CommandAgent
from raftsup.dispatcher import attempt
from raftsup.paths import StateDir
from raftsup.turn import State, Turn

URL = "http://127.0.0.1:4321/activity"
KEY = "k" * 64
RUN = (7, 2)
TURN = Turn(7, "support", State.RUNNING, attempt=2)
COMMAND = CommandAgent(("agent",))
ACCOUNT = Account(
    "support", True, "p", None, ("raft",), COMMAND, "support", activity="turns"
)  # fmt: skip


def test_a_token_is_good_for_its_attempt_and_no_other() -> None:
    token = hook_token.token_of(KEY, RUN)
    assert hook_token.run_of(token, KEY, [(6, 1), RUN, (8, 1)]) == RUN
    assert hook_token.run_of(token, KEY, [(7, 1), (7, 3), (72, 2)]) is None
    assert hook_token.run_of(token, KEY, []) is None
    assert hook_token.run_of(token, hook_token.new_key(), [RUN]) is None
    assert token != KEY


@pytest.mark.parametrize("presented", [None, "", KEY, "t\xf6ken", "\ud800", "7.2"])
def test_nothing_else_is_a_token(presented: str | None) -> None:
    assert hook_token.run_of(presented, KEY, [RUN]) is None


def test_keys_differ() -> None:
    assert len({hook_token.new_key() for _ in range(100)}) == 100


def test_what_a_worker_leaves_is_private_and_gives_each_attempt_its_variables(
    tmp_path: Path,
) -> None:
    path = tmp_path / "support.hooks.json"
    hook_token.publish(path, "http://127.0.0.1:1/activity", "old")
    hook_token.publish(path, URL, KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert hook_token.environment(path, RUN) == {
        "RAFTSUP_ACTIVITY_URL": URL,
        "RAFTSUP_ACTIVITY_TOKEN": hook_token.token_of(KEY, RUN),
    }
    hook_token.withdraw(path)
    hook_token.withdraw(path)
    assert hook_token.environment(path, RUN) == {}


@pytest.mark.parametrize(
    "left", ["", "{", "[]", '{"url": 1, "key": "k"}', '{"url": "", "key": ""}']
)
def test_what_cannot_be_read_gives_no_variables(tmp_path: Path, left: str) -> None:
    path = tmp_path / "support.hooks.json"
    path.write_text(left)
    assert hook_token.environment(path, RUN) == {}


def test_only_commands_of_accounts_that_tell_activity_get_the_variables(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.prepare()
    assert attempt.hooks(TURN, ACCOUNT, state) == {}
    hook_token.publish(state.hooks("support"), URL, KEY)
    assert set(attempt.hooks(TURN, ACCOUNT, state)) == {
        "RAFTSUP_ACTIVITY_URL",
        "RAFTSUP_ACTIVITY_TOKEN",
    }
    assert attempt.hooks(TURN, replace(ACCOUNT, activity="off"), state) == {}
    # Its process stays from turn to turn: the variables of one would outlive it.
    assert attempt.hooks(TURN, replace(ACCOUNT, agent=AcpAgent(("agent",))), state) == {}
