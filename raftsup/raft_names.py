"""What may name a profile, an agent and a server of Raft's.

Each ends up in a command line, and a profile's name in a path: a slip of the hand (a token pasted
in the place of an id, an address in the place of a name) is refused before it gets there. The
texts never have the value: it may be the token.
Source: RAFT_PROTOCOL, "Profiles and identity" [commands/agent/login.ts: an id is no handle, no
channel and no path; auth/env.ts: the slug is the name of a folder].
"""

from __future__ import annotations

from urllib.parse import urlsplit

#: How each of Raft's keys begins.
_KEY = "sk_"
_NOT_TO_BE_SHOWN = (
    "that looks like an agent's token; a token is asked for by itself and never shown. Whoever may"
    " have seen it: make a new one in Raft"
)
_LONGEST = 255


def wrong_profile(name: str) -> str | None:
    """Why ``name`` is no profile's name; None: it is one."""
    if name.startswith(_KEY):
        return _NOT_TO_BE_SHOWN
    if "/" in name or "\\" in name:
        return "a profile's name has no slash in it: it is the name of a folder, no path or URL"
    return _wrong_word(name, "a profile's name") or (
        "that is a folder above, no profile's name" if name in (".", "..") else None
    )


def wrong_agent_id(name: str) -> str | None:
    """Why ``name`` is no agent's id; None: it may be one."""
    if name.startswith(_KEY):
        return _NOT_TO_BE_SHOWN
    if name.startswith(("@", "#")) or "/" in name or any(c.isspace() for c in name):
        return (
            "an agent's id is one word, as its External Agent page in Raft has it: no @handle, no"
            " #channel, no path or URL"
        )
    return _wrong_word(name, "an agent's id")


def wrong_server(url: str) -> str | None:
    """Why ``url`` is no server's address; None: it may be one."""
    if url.startswith(_KEY):
        return _NOT_TO_BE_SHOWN
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well = False
    if not well or any(c.isspace() for c in url):
        return "a server's address begins with https:// (or http://), like https://app.raft.build"
    if parts.username is not None:
        return "a server's address has no user or password in it"
    return None


def _wrong_word(text: str, what: str) -> str | None:
    if not text.strip():
        return f"{what} is not empty"
    if text.startswith("-"):
        return f"{what} does not begin with a dash: a command would take it for a flag"
    if not text.isprintable() or len(text.encode("utf-8", "replace")) > _LONGEST:
        return f"{what} is one short line of plain text"
    return None
