from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from raftsup.config.errors import ConfigError
from raftsup.config.load import load
from raftsup.config.model import CommandAgent
from tests.unit.config_trees import AGENT, config, config_text, problems, raft

ONE = {"profile": "p"}


def refusal(path: Path | None, environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return str(caught.value)


def test_a_syntax_error_names_file_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "c.json5"
    file.write_text("{ turns: 1\n  dedupe: 2 }")
    assert refusal(file, {}).startswith(f"{file}:2:3: is not JSON5: ")


@pytest.mark.parametrize("text", ["", "// nothing", "{a:'x\ny'}", "{a:", "9" * 5000, "[" * 5000])
def test_what_is_no_json5_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.json5"
    file.write_text(text)
    assert refusal(file, {}).startswith(str(file))
    assert "\n" not in refusal(file, {})


def test_a_file_in_another_encoding_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "c.json5"
    file.write_bytes(b"{\n // caf\xe9\n}")
    assert refusal(file, {}).startswith(f"{file}:2:8: is not UTF-8")


def test_no_regular_file_or_a_huge_one_is_refused_with_its_name(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # which nobody writes to
    for odd in (tmp_path, fifo, Path("/dev/zero")):
        assert refusal(odd, {}).startswith(f"{odd}: is no regular file")
    huge = tmp_path / "huge"
    huge.write_bytes(b" " * ((1 << 20) + 1))
    assert "larger than" in refusal(huge, {})


def test_without_a_file_the_error_says_where_to_write_one(tmp_path: Path) -> None:
    said = refusal(None, {"HOME": str(tmp_path)})
    assert str(tmp_path / ".config/raftsup/raftsup.json5") in said
    # What it suggests is whole once the names are filled in.
    [suggested] = re.findall(r"\{ channels.* \}", said)
    whole = config_text(re.sub(r'"<.*?>"', '"a"', suggested))
    (account,) = whole.accounts
    assert account.runs and account.agent_id and whole.warning(account) is None
    assert "agentId:" in problems({})["channels.raft.accounts"]


def test_without_a_file_raft_profile_lists_a_default_account_without_agent(tmp_path: Path) -> None:
    held = load(None, {"HOME": str(tmp_path), "RAFT_PROFILE": "p"})
    account = held.account("default")
    assert held.path is None
    assert account is not None and account.profile == "p" and not account.runs
    assert "channels.raft.agent" in str(account.problem)


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_named_file_must_exist_even_with_raft_profile(tmp_path: Path, by_variable: bool) -> None:
    file = tmp_path / "gone.json5"
    environ = {"HOME": str(tmp_path), "RAFT_PROFILE": "p"}
    if by_variable:
        assert str(file) in refusal(None, {**environ, "RAFTSUP_CONFIG_PATH": str(file)})
    else:
        assert str(file) in refusal(file, environ)


def test_json5_comments_and_trailing_commas_are_fine() -> None:
    held = config_text("{ /* c */ channels: { raft: { profile: 'p', }, }, // end\n}")
    assert [a.id for a in held.accounts] == ["default"]


def test_a_duplicate_key_is_an_error_with_its_path() -> None:
    with pytest.raises(ConfigError) as caught:
        config_text("{channels: {raft: {accounts: {a: {profile: 'x', profile: 'y'}}}}}")
    assert "channels.raft.accounts.a.profile: this key is written twice" in str(caught.value)


def test_every_problem_is_reported_one_a_line() -> None:
    with pytest.raises(ConfigError) as caught:
        config(raft({**ONE, "accounts": 5}, dedupe={"ttl": "x"}, ledger={"a\nb": 1}))
    assert len(caught.value.problems) == 3
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("tree", "path", "guess"),
    [
        (raft({**ONE, "defaultAcount": "x"}), "channels.raft.defaultAcount", "defaultAccount"),
        (raft(ONE, supervisr={}), "supervisr", "supervisor"),
        (raft(ONE, dedupe={"max_entries": 1}), "dedupe.max_entries", "maxEntries"),
        (raft({"accounts": {"a": {"agentid": "x"}}}), "channels.raft.accounts.a.agentid",
         "agentId"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_an_error_with_a_guess(tree: object, path: str, guess: str) -> None:
    assert f'did you mean "{guess}"?' in problems(tree)[path]


def test_an_unknown_key_without_a_likeness_lists_the_known_ones() -> None:
    assert problems(raft(ONE, zzz=1))["zzz"].endswith(
        "known here: channels, dedupe, ledger, supervisor, turns"
    )


def test_an_agent_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    agent = {"kind": "command", "command": ["a", "-p", ""], "cwd": "~/x", "env": {"K": "v\nw"}}
    held = config(raft({**ONE, "agent": agent})).accounts[0].agent
    assert held == CommandAgent(("a", "-p", ""), "/home/me/x", {"K": "v\nw"})


@pytest.mark.parametrize(
    ("agent", "path"),
    [
        ("claude", ""),
        ({"kind": "command"}, ".command"),
        ({"kind": "command", "command": []}, ".command"),
        ({"kind": "command", "command": "claude -p"}, ".command"),
        ({"kind": "command", "command": ["a", 1]}, ".command[1]"),
        ({"kind": "command", "command": [" "]}, ".command[0]"),
        ({"kind": "command", "command": ["a\0"]}, ".command[0]"),
        ({"kind": "command", "command": ["a"], "cwd": "here"}, ".cwd"),
        ({"kind": "command", "command": ["a"], "env": {"K": 1}}, ".env.K"),
        ({"kind": "command", "command": ["a"], "env": {"A=B": "x"}}, '.env["A=B"]'),
        ({"kind": "command", "command": ["a"], "shell": True}, ".shell"),
    ],
)
def test_a_bad_agent_is_an_error_at_its_path(agent: object, path: str) -> None:
    tree = raft({"accounts": {"support": {"profile": "p", "agent": agent}}})
    assert list(problems(tree)) == ["channels.raft.accounts.support.agent" + path]


def test_an_unknown_kind_of_agent_lists_the_kinds_there_are() -> None:
    found = problems({"channels": {"raft": ONE}, "turns": {"agent": {"kind": "opnclaw"}}})
    told = found["turns.agent.kind"]
    assert '"acp", "command", "openai", "openclaw" (did you mean "openclaw"?)' in told


def test_accounts_of_no_agent_take_that_of_turns() -> None:
    held = config(raft({"accounts": {"a": {"profile": "p"}}}))
    assert held.accounts[0].agent == CommandAgent(tuple(AGENT["command"]))
