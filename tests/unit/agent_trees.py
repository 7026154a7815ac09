"""Configs of one account, ``a``, and its agent."""

from __future__ import annotations

from typing import Any

from raftsup.config.model import Agent
from tests.unit.config_trees import config, problems

WS = "ws://127.0.0.1:18789"
HTTP = "http://127.0.0.1:18789/v1"
OPENCLAW = {"kind": "openclaw", "url": WS}
ACP = {"kind": "acp", "command": ["agent"]}
OPENAI = {"kind": "openai", "baseUrl": HTTP, "model": "m"}
#: Of each kind, what it cannot do without.
LEAST: dict[str, dict[str, Any]] = {
    "command": {"kind": "command", "command": ["agent"]},
    "openclaw": OPENCLAW,
    "acp": ACP,
    "openai": OPENAI,
}
PLACE = "channels.raft.accounts.a.agent"


def of(agent: object, environ: dict[str, str] | None = None, common: object = None) -> Agent:
    """The agent of an account that has ``agent``, where ``turns.agent`` is ``common``."""
    found = config(tree(agent, common), environ).accounts[0].agent
    assert found is not None
    return found


def tree(agent: object, common: object = None) -> dict[str, Any]:
    account = {"profile": "p"} if agent is None else {"profile": "p", "agent": agent}
    turns = {} if common is None else {"agent": common}
    return {"channels": {"raft": {"accounts": {"a": account}}}, "turns": turns}


def refused(agent: object, environ: dict[str, str] | None = None) -> dict[str, str]:
    """Path below the agent to what is told of it."""
    found = problems(tree(agent), environ)
    return {path.removeprefix(PLACE).removeprefix("."): told for path, told in found.items()}
