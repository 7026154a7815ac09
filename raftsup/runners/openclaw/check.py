"""Trying an agent behind a Gateway: connection, version, credentials, and whether it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raftsup.config.model import OpenClawAgent
from raftsup.runners.base import Finding
from raftsup.runners.openclaw import connect_errors, identity
from raftsup.runners.openclaw.frames import BadFrame, Hello, one_line
from raftsup.runners.openclaw.websocket import Link, LinkLost, Refused, dial

#: Seconds for the whole check; a Gateway that is starting is waited for.
TIMEOUT_S = 15.0
#: What a turn needs the Gateway to know.
METHODS = ("agent", "agent.wait", "chat.abort", "sessions.describe", "tasks.list")


async def try_out(agent: OpenClawAgent, device_key: Path) -> list[Finding]:
    """Shake hands, and look for the agent. At most ``TIMEOUT_S`` seconds."""
    try:
        key = identity.load(device_key)
    except identity.BadKey as error:
        return [Finding(False, str(error))]
    told = f"the Gateway {agent.url}"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            link = await _dial(agent, key)
            try:
                assert link.hello is not None
                return await _look(agent, link, link.hello, told)
            finally:
                await link.close()
    except TimeoutError:
        return [Finding(False, f"{told}: no answer in {TIMEOUT_S:g} s; is it still starting?")]
    except Refused as refused:
        return [Finding(False, f"{told}: {connect_errors.of_refusal(refused).text}")]
    except LinkLost as lost:
        return [Finding(False, f"{told}: it cannot be reached: {lost}; does it run there?")]
    except BadFrame as error:
        return [Finding(False, f"{told}: {error}")]


async def _dial(agent: OpenClawAgent, key: identity.Key) -> Link:
    while True:
        try:
            return await dial(
                agent,
                lambda challenge: identity.device(key, challenge, agent.token or ""),
                lambda event: None,
            )
        except Refused as refused:
            if not refused.retryable:
                raise
            await asyncio.sleep(refused.retry_after or 0.5)


async def _look(agent: OpenClawAgent, link: Link, hello: Hello, told: str) -> list[Finding]:
    if bad := connect_errors.of_hello(hello):
        return [Finding(False, f"{told}: {bad.text}")]
    found = [Finding(True, f"{told}: version {hello.version}, and it lets this host in")]
    if hello.methods and (missing := [m for m in METHODS if m not in hello.methods]):
        text = f"{told}: it does not know {', '.join(missing)}; raftsup needs 2026.9 or newer"
        return [*found, Finding(False, text)]
    return [*found, of_agents(agent, await link.request("agents.list", {}))]


def of_agents(agent: OpenClawAgent, answer: Mapping[str, Any]) -> Finding:
    """Whether the agent is among those that ``agents.list`` tells of."""
    listed = answer.get("agents")
    agents = listed if isinstance(listed, list) else []
    ids = [one_line(str(a.get("id"))) for a in agents if isinstance(a, dict)]
    if not ids:
        return Finding(False, "it has no agents; `openclaw agents add` on its host makes one")
    known = ", ".join(ids)
    if agent.agent_id is None:
        if answer.get("selectionRequired") is True:
            return Finding(False, f"it has several agents and no default: set agentId ({known})")
        default = one_line(str(answer.get("defaultId", "main")))
        return Finding(True, f"its agent {default} will take the turns")
    if agent.agent_id.lower() not in ids:
        return Finding(False, f"it has no agent {agent.agent_id!r}: set agentId to one of {known}")
    return Finding(True, f"it has the agent {agent.agent_id}")
