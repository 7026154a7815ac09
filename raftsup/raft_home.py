"""Where the Raft CLI keeps what it knows: profiles, and the state of their bridges.

Source: RAFT_PROTOCOL, "Profiles and identity" and "Starting the bridge" [auth/env.ts,
agentCommsCore/bridge.ts]. The environment that is asked is the one that the CLI is started with.
Nothing here reads a credential's key.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

CREDENTIAL = "credential.json"
#: Each names the folder of one single profile, whatever the profile's name.
SINGLE = ("RAFT_PROFILE_DIR", "SLOCK_PROFILE_DIR")
#: Each names the folder that holds the profiles.
HOMES = ("RAFT_HOME", "SLOCK_HOME")
PLACES = (*SINGLE, *HOMES)
#: Each selects a profile where a command line does not.
SELECTED = ("RAFT_PROFILE", "SLOCK_PROFILE")
#: Names the state folder of one single bridge.
BRIDGE_STATE = "RAFT_AGENT_BRIDGE_STATE_DIR"
#: A credential is some hundred bytes.
_MOST_BYTES = 64 * 1024
#: The folder of a bridge that was started without ``--adapter-instance``.
_INSTANCE = "default"


@dataclass(frozen=True)
class Place:
    """Where a CLI has its profiles."""

    #: The folder that ``RAFT_HOME`` names, or the CLI's own where it is not set.
    home: str
    #: The folder of one single profile, which counts for more; "" where none is chosen.
    single: str = ""

    def is_as(self, other: Place) -> bool:
        """Whether both lead to the same profiles, however they are written."""
        if self.single or other.single:
            return bool(self.single and other.single) and _same(self.single, other.single)
        return _same(self.home, other.home)

    def within(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ``, for a CLI that is to look here."""
        rest = {name: value for name, value in environ.items() if name not in PLACES}
        single = {"RAFT_PROFILE_DIR": self.single} if self.single else {}
        return {**rest, "RAFT_HOME": self.home, **single}


@dataclass(frozen=True)
class SignedIn:
    """A profile whose credential could be read: what it says of itself but the key."""

    slug: str
    agent_id: str
    server_url: str


def profile_dir(slug: str, environ: Mapping[str, str]) -> Path:
    """The folder of the profile ``slug``."""
    single = _single(environ)
    return Path(single) if single else profiles_dir(environ) / slug


def _single(environ: Mapping[str, str]) -> str:
    """As for the homes: a variable that is set and empty counts, and hides the other."""
    return next((environ[name] for name in SINGLE if name in environ), "")


def profiles_dir(environ: Mapping[str, str]) -> Path:
    """The folder in which each profile has one of its own, where none is named alone."""
    home = environ.get("RAFT_HOME", environ.get("SLOCK_HOME"))
    if home:
        return Path(home) / "profiles"
    return Path(environ.get("HOME", Path.home())) / ".slock" / "profiles"


def place(environ: Mapping[str, str]) -> Place:
    """Where a CLI within ``environ`` has its profiles."""
    return Place(str(profiles_dir(environ).parent), _single(environ))


def difference(theirs: Place, yours: Place, whose: str = "the host's") -> str:
    """A sentence for a person whose profiles lie elsewhere than ``theirs``; "" if they do not."""
    if theirs.is_as(yours):
        return ""
    if theirs.single or yours.single:
        found = [one.single or "not set" for one in (theirs, yours)]
        return f"{whose} RAFT_PROFILE_DIR is {found[0]}, yours is {found[1]}"
    return f"{whose} RAFT_HOME is {theirs.home}, yours is {yours.home}"


def prefix(wanted: Mapping[str, str], shell: Mapping[str, str]) -> str:
    """What a command that is typed in ``shell`` begins with, to look where one within ``wanted``
    does; "" if it does so anyway.
    """
    there = place(wanted)
    if there.is_as(place(shell)):
        return ""
    words = {name: "" for name in SINGLE if shell.get(name)}
    words |= {"RAFT_PROFILE_DIR": there.single} if there.single else {"RAFT_HOME": there.home}
    return "".join(f"{name}={shlex.quote(value) if value else ''} "
                   for name, value in words.items())  # fmt: skip


def wrong(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The variables that can be no folder for every command alike: each with what is wrong, and
    what to do.
    """
    for name in PLACES:
        value = environ.get(name, "")
        if value.startswith("~"):
            yield name, f"the Raft CLI takes the ~ of {value} for a name", "write $HOME for it"
        elif value and not Path(value).is_absolute():
            hint = "write it from the root on, beginning with /"
            yield name, f"{value} is another folder wherever a command is started", hint
        elif value and _mode(value) and not stat.S_ISDIR(_mode(value)):
            yield name, f"{value} is not a folder", "name a folder"


def missing(environ: Mapping[str, str]) -> str:
    """A sentence where the environment names a folder that is not there; "" otherwise."""
    name = next((name for name in PLACES if environ.get(name)), None)
    if name is None or _mode(environ[name]) or any(wrong(environ)):
        return ""
    return f"{name} is {environ[name]}, which is not there: no profile can be found in it"


def _mode(path: str) -> int:
    """0 where there is nothing that this user can see."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


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
    if single := _single(environ):
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
