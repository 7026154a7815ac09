"""Profiles of the simulated CLI: one folder each, as the true CLI keeps them.

``<RAFT_PROFILE_DIR>/<name>/profile.json`` holds ``agentId``, ``serverUrl`` and ``token``; what the
bridge and the demo's agent keep lies beside it. Folders 0700, files 0600.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class ProfileError(Exception):
    """The profile cannot be used; ``code`` is the CLI's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Profile(NamedTuple):
    name: str
    agent_id: str
    server_url: str
    token: str


def profile_dir(environ: Mapping[str, str]) -> Path:
    """``RAFT_PROFILE_DIR``, else a folder in the home."""
    chosen = environ.get("RAFT_PROFILE_DIR")
    return Path(chosen) if chosen else Path.home() / ".raft-sim" / "profiles"


def home_of(directory: Path, name: str) -> Path:
    """The folder of one profile. Raises ``ProfileError`` for a name that is not a plain one."""
    if not name or not all(c.isalnum() or c in "._-" for c in name) or name[0] == ".":
        raise ProfileError("PROFILE_INVALID", f"{name!r} is not a profile name")
    return directory / name


def write(directory: Path, profile: Profile) -> Path:
    """Create or replace a profile; returns its file's path."""
    home = home_of(directory, profile.name)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / "profile.json"
    fresh = home / f"profile.json.{os.getpid()}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(
            {
                "agentId": profile.agent_id,
                "serverUrl": profile.server_url,
                "token": profile.token,
            },
            out,
        )
    fresh.replace(path)
    return path


def read(directory: Path, name: str) -> Profile:
    """Raises ``ProfileError``."""
    path = home_of(directory, name) / "profile.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Profile(name, str(raw["agentId"]), str(raw["serverUrl"]), str(raw["token"]))
    except FileNotFoundError as error:
        raise ProfileError(
            "PROFILE_NOT_FOUND", f"no profile {name!r} in {directory}; log in first"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProfileError("PROFILE_INVALID", f"profile file {path} cannot be read") from error


def names(directory: Path) -> list[str]:
    """All profiles of the directory, in order; none where there is no directory."""
    return sorted(path.parent.name for path in directory.glob("*/profile.json"))
