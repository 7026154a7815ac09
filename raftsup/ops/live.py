"""``raftsup config check --live``: every agent that an account needs, tried once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from raftsup.config.model import Agent, Config
from raftsup.paths import StateDir
from raftsup.proc.env import clean_env
from raftsup.runners.base import Finding
from raftsup.runners.check import try_out


@dataclass(frozen=True)
class Tried:
    """An agent, the accounts whose turns it takes, and what was found of it."""

    kind: str
    accounts: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        return all(finding.good for finding in self.findings)


def try_all(
    config: Config, state: StateDir, environ: Mapping[str, str], patience: float | None = None
) -> list[Tried]:
    """Try the agents of the accounts that run, side by side. Raises ``StateDirError``.

    ``patience``: seconds that each may take; None: as long as its own runner allows.
    """
    state.prepare()
    return try_on(config, state, environ, patience)


def try_on(
    config: Config, state: StateDir, environ: Mapping[str, str], patience: float | None = None
) -> list[Tried]:
    """The same on a state folder that is there, which stays as it is."""
    return asyncio.run(_try_all(_by_agent(config), clean_env(environ), state, patience))


def _by_agent(config: Config) -> list[tuple[Agent, tuple[str, ...]]]:
    found: list[tuple[Agent, tuple[str, ...]]] = []
    for account in config.accounts:
        if not account.runs or account.agent is None:
            continue
        for index, (agent, accounts) in enumerate(found):
            if agent == account.agent:
                found[index] = agent, (*accounts, account.id)
                break
        else:
            found.append((account.agent, (account.id,)))
    return found


async def _try_all(
    agents: list[tuple[Agent, tuple[str, ...]]],
    env: Mapping[str, str],
    state: StateDir,
    patience: float | None,
) -> list[Tried]:
    async def tried(agent: Agent) -> list[Finding]:
        try:
            return await asyncio.wait_for(try_out(agent, env, state.device_key), patience)
        except TimeoutError:
            return [Finding(False, f"it gave no answer in {patience:g} s")]

    tries = [tried(agent) for agent, _ in agents]
    findings = await asyncio.gather(*tries)
    return [
        Tried(agent.kind, accounts, tuple(found))
        for (agent, accounts), found in zip(agents, findings, strict=True)
    ]
