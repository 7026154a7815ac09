"""Trying agents without a turn: programs, an OpenClaw Gateway's list of agents, who shares one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raftsup.config.model import Account, Agent, CommandAgent, Config, OpenClawAgent
from raftsup.ops import live
from raftsup.paths import StateDir
from raftsup.runners.base import Finding
from raftsup.runners.check import try_out
from raftsup.runners.openclaw.check import of_agents


def tried(agent: Agent, **env: str) -> Finding:
    (found,) = asyncio.run(try_out(agent, env, Path("unused")))
    return found


def program(path: Path, mode: int = 0o700) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_a_program_is_looked_up_on_the_path_of_the_agents_own_environment(tmp_path: Path) -> None:
    mine, hosts = program(tmp_path / "mine" / "agent"), program(tmp_path / "hosts" / "agent")
    agent = CommandAgent(("agent",), env={"PATH": str(mine.parent)})
    assert tried(agent, PATH=str(hosts.parent)) == Finding(True, f"{mine} can be started")
    found = tried(CommandAgent(("agent",)), PATH=str(hosts.parent))
    assert found == Finding(True, f"{hosts} can be started")


def test_without_a_path_of_its_own_the_systems_default_is_searched_not_that_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "only-here-9f2")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = tried(CommandAgent(("only-here-9f2",)))
    assert not found.good and f"on the PATH ({os.defpath})" in found.text


@pytest.mark.parametrize("word", ["./agent", "bin/../agent"])
def test_a_relative_program_is_looked_up_from_the_turns_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    program(tmp_path / "work" / "agent")
    (tmp_path / "work" / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    assert tried(CommandAgent((word,), cwd=str(tmp_path / "work"))).good
    elsewhere = tried(CommandAgent((word,)))
    assert elsewhere == Finding(
        False, f"there is no program {word} in {tmp_path}; write its whole path"
    )


def test_a_relative_entry_of_the_path_is_looked_up_from_the_turns_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "work" / "bin" / "agent")
    monkeypatch.chdir(tmp_path)
    agent = CommandAgent(("agent",), cwd=str(tmp_path / "work"), env={"PATH": "bin"})
    assert tried(agent).good
    assert not tried(CommandAgent(("agent",), env={"PATH": "bin"})).good


def test_a_program_that_may_not_be_executed_is_told_apart_from_one_that_is_not_there(
    tmp_path: Path,
) -> None:
    there = program(tmp_path / "agent", 0o600)
    found = tried(CommandAgent((str(there),)))
    assert not found.good and found.text.endswith("may not execute it; chmod +x it")
    gone = tried(CommandAgent((str(tmp_path / "none"),)))
    assert gone.text == f"there is no program {tmp_path / 'none'}; correct the path"


def test_a_folder_that_is_not_there_is_told_before_the_program(tmp_path: Path) -> None:
    found = tried(CommandAgent(("no-such",), cwd=str(tmp_path / "none")))
    assert found == Finding(
        False, f"there is no folder {tmp_path / 'none'}; make it, or change cwd"
    )


GATEWAY = OpenClawAgent("ws://127.0.0.1:1")
TWO = {"defaultId": "main", "agents": [{"id": "main"}, {"id": "sales"}]}


@pytest.mark.parametrize(
    ("wanted", "answer", "good", "words"),
    [
        (None, TWO, True, "its agent main will take the turns"),
        (None, {**TWO, "selectionRequired": True}, False, "set agentId (main, sales)"),
        ("Sales", TWO, True, "it has the agent Sales"),
        ("nobody", TWO, False, "no agent 'nobody': set agentId to one of main, sales"),
        ("main", {}, False, "it has no agents"),
        ("main", {"agents": 7}, False, "it has no agents"),
        ("main", {"agents": [None, {"id": "\x1b[2Jx"}]}, False, "set agentId to one of [2Jx"),
        (None, {**TWO, "defaultId": "\x1bmain"}, True, "its agent main will"),
    ],
)
def test_what_a_gateway_tells_of_its_agents_is_judged(
    wanted: str | None, answer: Mapping[str, Any], good: bool, words: str
) -> None:
    found = of_agents(OpenClawAgent(GATEWAY.url, agent_id=wanted), answer)
    assert found.good is good
    assert words in found.text


def test_an_agent_that_accounts_share_is_tried_once_and_those_that_do_not_run_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def note(agent: Agent, env: Mapping[str, str], key: Path) -> list[Finding]:
        asked.append(agent)
        assert "SECRET" not in env
        return [Finding(agent is not GATEWAY, "x")]

    def account(name: str, agent: Agent, *, enabled: bool = True, **more: Any) -> Account:
        return Account(name, enabled, name, None, ("raft",), agent, name, **more)

    monkeypatch.setattr(live, "try_out", note)
    shell = CommandAgent(("sh",), env={"KEY": "1"})
    config = Config(
        None,
        (
            account("a", shell),
            account("b", GATEWAY),
            account("c", CommandAgent(("sh",), env={"KEY": "1"})),
            account("d", CommandAgent(("sh",), env={"KEY": "2"})),
            account("off", CommandAgent(("off",)), enabled=False),
            account("bad", CommandAgent(("bad",)), problem="no profile"),
        ),
    )
    found = live.try_all(config, StateDir(tmp_path / "s"), {"SECRET": "x", "PATH": "/bin"})
    assert [(one.accounts, one.good) for one in found] == [
        (("a", "c"), True), (("b",), False), (("d",), True),
    ]  # fmt: skip
    assert len(asked) == 3
