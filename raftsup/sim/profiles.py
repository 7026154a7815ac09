"""Profiles of the simulated CLI, kept as the true CLI keeps them.

A profile is a folder (0700) with ``credential.json`` (0600). Where it lies: ``RAFT_PROFILE_DIR``
or ``SLOCK_PROFILE_DIR`` (the folder of one single profile, whatever its slug), then
``profiles/<slug>`` in ``RAFT_HOME``, in ``SLOCK_HOME``, in ``~/.slock``.
Source: RAFT_PROTOCOL, "Profiles and identity" [auth/env.ts, commands/agent/login.ts].
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from raftsup.sim import folders, js

FILE = "credential.json"


class ProfileError(Exception):
    """The profile cannot be used; ``code`` is the CLI's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Profile(NamedTuple):
    """A credential. ``path`` is the file that it was read from."""

    name: str
    agent_id: str
    server_url: str
    #: ``apiKey``: ``sk_agent_…``.
    token: str
    server_id: str | None = None
    agent_name: str = ""
    credential_id: str = ""
    scopes: tuple[str, ...] = ()
    path: Path = Path()


def profile_dir(slug: str, environ: Mapping[str, str]) -> Path:
    """The folder of the profile ``slug``. Raises ``ProfileError``: PROFILE_ENV_CONFLICT."""
    named, alias = environ.get("RAFT_PROFILE_DIR"), environ.get("SLOCK_PROFILE_DIR")
    if named and alias and named != alias:
        raise ProfileError(
            "PROFILE_ENV_CONFLICT",
            "RAFT_PROFILE_DIR and SLOCK_PROFILE_DIR disagree; unset one (RAFT_PROFILE_DIR is"
            " canonical).",
        )
    # As the true one: a variable that is set and empty counts, and hides the other.
    if single := alias if named is None else named:
        return Path(single)
    home = environ.get("RAFT_HOME", environ.get("SLOCK_HOME"))
    if home:
        return Path(home) / "profiles" / slug
    return Path(environ.get("HOME", Path.home())) / ".slock" / "profiles" / slug


def profiles_in(raft_home: Path) -> Path:
    """The folder that holds the profiles of a ``RAFT_HOME``."""
    return raft_home / "profiles"


def write(folder: Path, profile: Profile) -> Path:
    """Create or replace the credential in a profile's ``folder``; returns its file's path."""
    folders.make(folder)
    path = folder / FILE
    fresh = folder / f"{FILE}.{os.getpid()}"
    credential = {
        "schemaVersion": 1,
        "serverUrl": profile.server_url,
        "agentId": profile.agent_id,
        "agentName": profile.agent_name,
        "serverId": profile.server_id,
        "credentialId": profile.credential_id,
        "scopes": list(profile.scopes),
        "apiKey": profile.token,
        "createdAt": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
    }
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(js.dumps(credential, indent=2) + "\n")
    fresh.replace(path)
    return path


def read(slug: str, environ: Mapping[str, str]) -> Profile:
    """The profile that a command with ``--profile slug`` uses. Raises ``ProfileError``."""
    path = profile_dir(slug, environ) / FILE
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ProfileError(
            "PROFILE_FILE_UNREADABLE",
            f"RAFT_PROFILE={slug} resolved to {path}, which could not be read:"
            f" {error.strerror}, open '{path}'. Run `raft agent login` to mint a credential.",
        ) from error
    try:
        raw: Any = json.loads(text)
    except ValueError as error:
        raise ProfileError("PROFILE_FILE_INVALID", f"{path} is not valid JSON: {error}") from error
    needed = ("apiKey", "agentId", "serverUrl")
    if not isinstance(raw, dict) or not all(isinstance(raw.get(key), str) for key in needed):
        raise ProfileError(
            "PROFILE_FILE_INVALID", f"{path} is missing required fields ({', '.join(needed)})."
        )
    return Profile(
        slug,
        raw["agentId"],
        raw["serverUrl"],
        raw["apiKey"],
        raw.get("serverId"),
        str(raw.get("agentName") or ""),
        str(raw.get("credentialId") or ""),
        tuple(raw.get("scopes") or ()),
        path,
    )
