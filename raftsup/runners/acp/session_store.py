"""Which session an ACP agent and a lane talked in last: one private JSON file a lane.

It is a help, not a promise: without it, or with one that cannot be read, a new session begins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import orjson

from raftsup import files


def identity(command: Sequence[str], cwd: str) -> str:
    """A digest that tells one agent from another. The command itself may hold a key."""
    return hashlib.blake2b(orjson.dumps([list(command), cwd]), digest_size=16).hexdigest()


def recall(path: Path, agent: str) -> str:
    """The session that ``agent`` (an ``identity``) was last in; "" if none is known."""
    try:
        facts = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return ""
    if not isinstance(facts, dict) or facts.get("agent") != agent:
        return ""
    session = facts.get("session")
    return session if isinstance(session, str) else ""


def remember(path: Path, agent: str, session: str) -> None:
    """Replace the file at ``path``, whole. Raises ``OSError``."""
    files.replace(path, orjson.dumps({"agent": agent, "session": session}))


def forget(path: Path) -> None:
    """Begin anew the next time. Raises ``OSError``."""
    path.unlink(missing_ok=True)
