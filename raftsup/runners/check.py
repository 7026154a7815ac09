"""Trying an agent without a turn: can it be reached, and would it take one?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from raftsup.config.model import AcpAgent, Agent, CommandAgent, OpenAIAgent, OpenClawAgent
from raftsup.runners import program
from raftsup.runners.base import Finding


async def try_out(agent: Agent, env: Mapping[str, str], device_key: Path) -> list[Finding]:
    """What is found, without a model call. ``env``: the clean environment of the host's children;
    ``device_key``: this host's identity before Gateways, made where there is none.
    """
    match agent:
        case CommandAgent():
            return [program.find(agent, env)]
        case OpenClawAgent():
            from raftsup.runners.openclaw.check import try_out as of_openclaw

            return await of_openclaw(agent, device_key)
        case AcpAgent():
            if not (found := program.find(agent, env)).good:
                return [found]
            from raftsup.runners.acp.check import try_out as of_acp

            return await of_acp(agent, env)
        case OpenAIAgent():
            from raftsup.runners.openai.check import try_out as of_openai

            return await of_openai(agent, env)
