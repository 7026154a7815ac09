"""Whom a running host runs: written by the parent at each reading of the config.

``status`` believes it while the host runs, and so needs neither the file, which may be half
edited, nor the secrets that it names, which only the host's environment has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from raftsup import private_file
from raftsup.config.model import Account, Config
from raftsup.paths import StateDir


def write(state: StateDir, config: Config) -> None:
    """Replace the roster (0600). It holds no agent, so no key."""
    lines = [
        [account.id, account.enabled, account.profile, account.lane, account.problem]
        for account in config.accounts
    ]
    private_file.replace(_path(state), orjson.dumps(lines))


def read(state: StateDir) -> Sequence[Account] | None:
    """The accounts of the last host here, without their agents; None if none was written."""
    try:
        lines = orjson.loads(_path(state).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    try:
        return [_account(*line) for line in lines]
    except TypeError:
        return None  # spoilt, or of another version


def _account(id: str, enabled: bool, profile: str, lane: str, problem: str | None) -> Account:
    return Account(
        id=id,
        enabled=enabled,
        profile=profile,
        agent_id=None,
        command=(),
        agent=None,
        lane=lane,
        problem=problem,
    )


def _path(state: StateDir) -> Path:
    return state.root / "roster.json"
