"""Whom a running host runs, and where its Raft CLI has their profiles: written by the parent at
each reading of the config.

``status`` believes it while the host runs, and so needs neither the file, which may be half
edited, nor the secrets that it names, which only the host's environment has. The document is
``roster.json`` in the state folder: ``{"version": 1, "accounts": [ActiveAccount, …], "raft":
{"home": …, "single": …}}`` (``raft_home.Place``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

import orjson

from raftsup import files, raft_home
from raftsup.config.model import Account, Config
from raftsup.paths import StateDir
from raftsup.raft_home import Place

VERSION = 1


class ActiveAccount(TypedDict):
    """An account as far as ``status`` needs it: no agent, so no key."""

    id: str
    enabled: bool
    profile: str | None
    lane: str
    #: Why it cannot run; None if it can.
    problem: str | None


def write(state: StateDir, config: Config, environ: Mapping[str, str]) -> None:
    """Replace the document (0600). ``environ``: the host's."""
    accounts: list[ActiveAccount] = [
        {"id": a.id, "enabled": a.enabled, "profile": a.profile, "lane": a.lane,
         "problem": a.problem}
        for a in config.accounts
    ]  # fmt: skip
    raft = asdict(raft_home.place(environ))
    document = {"version": VERSION, "accounts": accounts, "raft": raft}
    files.replace(_path(state), orjson.dumps(document))


def read(state: StateDir) -> Sequence[Account] | None:
    """The accounts of the last host here, without their agents; None if none was written, or the
    document is spoilt or of another version.
    """
    try:
        return [
            Account(agent_id=None, command=(), agent=None, **account)
            for account in _document(state)["accounts"]
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def place(state: StateDir) -> Place | None:
    """Where the last host here had its profiles; None if it did not tell."""
    try:
        return Place(**_document(state)["raft"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _document(state: StateDir) -> dict[str, Any]:
    """Raises ``OSError``, ``ValueError``, ``TypeError``, ``KeyError``."""
    document = orjson.loads(_path(state).read_bytes())
    if isinstance(document, list):  # of a host of raftsup 0.1.0 that still runs
        lines = [zip(ActiveAccount.__annotations__, line, strict=True) for line in document]
        return {"accounts": [dict(line) for line in lines]}
    if document["version"] != VERSION:
        raise ValueError("it is of another version")
    return dict(document)


def _path(state: StateDir) -> Path:
    return state.root / "roster.json"
