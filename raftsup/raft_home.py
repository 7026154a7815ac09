"""Where the Raft CLI keeps what it knows: profiles, and the state of their bridges.

Source: RAFT_PROTOCOL, "Profiles and identity" and "Starting the bridge" [auth/env.ts,
agentCommsCore/bridge.ts]. The environment that is asked is the one that the CLI is started with.
Nothing here reads a credential's key.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

CREDENTIAL = "credential.json"
#: Each names the folder of one single profile, whatever the profile's name.
SINGLE = ("RAFT_PROFILE_DIR", "SLOCK_PROFILE_DIR")
#: Each selects a profile where a command line does not.
SELECTED = ("RAFT_PROFILE", "SLOCK_PROFILE")
#: Names the state folder of one single bridge.
BRIDGE_STATE = "RAFT_AGENT_BRIDGE_STATE_DIR"
#: A credential is some hundred bytes.
_MOST_BYTES = 64 * 1024
#: The folder of a bridge that was started without ``--adapter-instance``.
_INSTANCE = "default"


@dataclass(frozen=True)
class SignedIn:
    """A profile whose credential could be read: what it says of itself but the key."""

    slug: str
    agent_id: str
    server_url: str


def profile_dir(slug: str, environ: Mapping[str, str]) -> Path:
    """The folder of the profile ``slug``."""
    for name in SINGLE:
        if chosen := environ.get(name):
            return Path(chosen)
    return profiles_dir(environ) / slug


def profiles_dir(environ: Mapping[str, str]) -> Path:
    """The folder in which each profile has one of its own, where none is named alone."""
    home = environ.get("RAFT_HOME", environ.get("SLOCK_HOME"))
    if home:
        return Path(home) / "profiles"
    return Path(environ.get("HOME") or Path.home()) / ".slock" / "profiles"


def credential(slug: str, environ: Mapping[str, str]) -> Path:
    """The file that ``raft agent login`` writes for the profile ``slug``."""
    return profile_dir(slug, environ) / CREDENTIAL


def bridge_state_dir(slug: str, agent_id: str, environ: Mapping[str, str]) -> Path:
    """Where the bridge of a profile has its lock, log and hints."""
    if chosen := environ.get(BRIDGE_STATE):
        return Path(chosen)
    return profile_dir(slug, environ) / "agent-comms-core" / _segment(agent_id) / _INSTANCE


def bridge_log(slug: str, agent_id: str, environ: Mapping[str, str]) -> Path:
    """The bridge's own log: every event, also those of its last hours."""
    return bridge_state_dir(slug, agent_id, environ) / "bridge.log"


def signed_in(environ: Mapping[str, str]) -> list[SignedIn]:
    """The profiles that are signed in where the CLI looks, by name. What cannot be read is left
    out: who wants it asks the CLI, which says why.
    """
    try:
        slugs = sorted(entry.name for entry in profiles_dir(environ).iterdir())
    except OSError:
        slugs = []
    if single := next((environ[name] for name in SINGLE if environ.get(name)), None):
        slugs = [next((environ[n] for n in SELECTED if environ.get(n)), Path(single).name)]
    found = (read(slug, environ) for slug in slugs if not slug.startswith("."))
    return [profile for profile in found if profile is not None]


def usual_server(environ: Mapping[str, str]) -> str | None:
    """The server that all profiles here are signed in at; None if there is none, or several."""
    servers = {profile.server_url for profile in signed_in(environ)}
    return servers.pop() if len(servers) == 1 else None


def read(slug: str, environ: Mapping[str, str]) -> SignedIn | None:
    """What the credential of ``slug`` says; None where there is none that the CLI would take."""
    try:
        raw = orjson.loads(regular(credential(slug, environ), _MOST_BYTES))
    except (OSError, orjson.JSONDecodeError):
        return None
    needed = ("agentId", "serverUrl", "apiKey")
    if not isinstance(raw, dict) or not all(isinstance(raw.get(key), str) for key in needed):
        return None
    return SignedIn(slug, raw["agentId"], raw["serverUrl"])


def regular(path: Path, most: int = -1) -> bytes:
    """A regular file's bytes, ``most`` of them: a FIFO or a device in its place must hold up
    nobody. Raises ``OSError``.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no regular file")
        return file.read(most)


def _segment(text: str) -> str:
    """``text`` as the CLI makes a folder's name of it."""
    return re.sub(r"[^a-zA-Z0-9._-]", "_", text)[:120] or "unknown"
