"""Which agent takes the turns: the few questions of each kind."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

from raftsup.config.agent_kinds import TOOL_KINDS
from raftsup.config.agents import GATEWAY_TOKEN
from raftsup.ops.setup.prompts import Ask

_FLAG = "--agent '<JSON5>'"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def ask_agent(ask: Ask, kept_one: str | None) -> dict[str, Any] | None:
    """The agent as the config has it; None: the one that is there, in the words ``kept_one``."""
    if kept_one and not ask.person:
        return None
    kept = [kept_one] if kept_one else []
    kinds = list(KINDS)
    chosen = ask.choose("Which agent takes its turns",
                        [*kept, *(KINDS[kind][0] for kind in kinds)], 0, _FLAG)  # fmt: skip
    if kept and chosen == 0:
        return None
    kind = kinds[chosen - len(kept)]
    return {"kind": kind, **{k: v for k, v in KINDS[kind][1](ask).items() if v}}


def _command(ask: Ask) -> dict[str, Any]:
    return {
        "command": _words(ask, "Its command line", "claude -p --allowedTools 'Bash(raft:*)'"),
        **_process(ask),
    }


def _acp(ask: Ask) -> dict[str, Any]:
    command = _words(ask, "Its command line", "npx -y @agentclientprotocol/claude-agent-acp")
    while True:
        given = ask.text(
            "What it may do without asking (allow, deny, or kinds of tools; it needs execute to"
            " call raft)", "execute read", _FLAG,
        ).replace(",", " ").split()  # fmt: skip
        if given in (["allow"], ["deny"]) or set(given) <= set(TOOL_KINDS):
            break
        ask.say(f"  Please write allow, deny, or some of: {' '.join(TOOL_KINDS)}.")
    permissions = given[0] if given in (["allow"], ["deny"]) else given
    return {"command": command, **_process(ask), "permissions": permissions}


def _openclaw(ask: Ask) -> dict[str, Any]:
    url = ask.text("The Gateway's address", "ws://127.0.0.1:18789", _FLAG)
    agent = ask.text("Which of its agents (empty: its default)", "", _FLAG)
    token = _variable(ask, "The environment variable that holds its token", GATEWAY_TOKEN)
    return {"url": url, "agentId": agent, "token": f"${{{token}}}"}


def _openai(ask: Ask) -> dict[str, Any]:
    base = ask.text("The endpoint's address", "http://127.0.0.1:18789/v1", _FLAG)
    model = ask.text("The model's name", "openclaw/main", _FLAG)
    apis = ["responses", "chat"]
    api = apis[ask.choose("Its API", ["/responses", "/chat/completions"], 0, _FLAG)]
    key = _variable(ask, "The environment variable that holds its key", GATEWAY_TOKEN)
    return {"baseUrl": base, "model": model, "api": api, "apiKey": f"${{{key}}}"}


#: Each kind, in words, and its questions.
KINDS: dict[str, tuple[str, Callable[[Ask], dict[str, Any]]]] = {
    "command": ("a command, started anew for each turn (claude -p)", _command),
    "openclaw": ("an OpenClaw Gateway", _openclaw),
    "acp": ("an ACP agent: one process that stays", _acp),
    "openai": ("an OpenAI-style HTTP endpoint", _openai),
}


def _process(ask: Ask) -> dict[str, Any]:
    """Of an agent that is a process: its folder and the keys it needs."""
    folder = ask.text("Its folder (empty: where raftsup is started)", "", _FLAG)
    while True:
        names = ask.text(
            "Environment variables it needs, just the names (it sees no others)", "", _FLAG
        ).split()
        if all(_VARIABLE.fullmatch(name) for name in names):
            # Their values stay where they are: in the environment.
            return {"cwd": folder, "env": {name: f"${{{name}}}" for name in names}}
        ask.say("  Please write names like ANTHROPIC_API_KEY, with spaces between; no values.")


def _variable(ask: Ask, question: str, default: str) -> str:
    while True:
        name = ask.text(f"{question} (its name, not its value)", default, _FLAG)
        if _VARIABLE.fullmatch(name):
            return name
        ask.say(f"  Please write a name like {default}. Nothing that you wrote was kept.")


def _words(ask: Ask, question: str, default: str) -> list[str]:
    while True:
        try:
            if words := shlex.split(ask.text(question, default, _FLAG)):
                return words
        except ValueError:
            pass
        ask.say("  Please close the quotes.")
