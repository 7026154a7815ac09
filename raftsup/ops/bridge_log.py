"""The end of the CLI's own ``bridge.log``: the place that answers "why did it not wake".

Source: RAFT_PROTOCOL, "Starting the bridge" [agentCommsCore/bridge.ts]: one event a line, each with
``ts``; content-free. What comes again at every pass is left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from raftsup import raft_home
from raftsup.config.model import Account
from raftsup.terminal import plain

_MOST_BYTES = 256 * 1024
_LINE = 240
#: Of a healthy bridge's everyday: each pass says them.
_EVERYDAY = frozenset({"agent_comms.lifecycle", "agent_comms.proof", "agent_comms.handoff"})
_PEEKS = frozenset({"reconcile_peek", "fast_reconcile_peek"})
_TOLD = ("errorCode", "message", "failureClass", "reason", "consecutiveFailures", "afterFailures",
         "outcome", "errorMessage", "pid")  # fmt: skip


@dataclass(frozen=True)
class Tail:
    path: Path
    #: The last events that say something, oldest first, for people.
    lines: tuple[str, ...] = ()
    #: Why there are none; "" where there are.
    problem: str = ""
    #: When it was last written to, in Unix seconds; None where nobody can tell.
    at: float | None = None


def path_of(account: Account, environ: Mapping[str, str]) -> Path | None:
    """Where an account's log is; None where it has no profile or agent id to find it by."""
    agent = account.agent_id
    if account.profile is None:
        return None
    if agent is None and (found := raft_home.read(account.profile, environ)) is not None:
        agent = found.agent_id
    return raft_home.bridge_log(account.profile, agent, environ) if agent else None


def tail(path: Path, most: int = 5) -> Tail:
    """The end of the log at ``path``."""
    try:
        data, at = _end(path)
    except OSError as error:
        return Tail(path, problem=error.strerror or str(error))
    lines = [line for line in map(_shown, data.split(b"\n")) if line]
    return Tail(path, tuple(lines[-most:]), "" if lines else "nothing out of the ordinary", at)


def _end(path: Path) -> tuple[bytes, float]:
    """The last bytes of a regular file, from the first whole line on; when it was written."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(0, "it is no regular file")
        if info.st_size > _MOST_BYTES:
            file.seek(-_MOST_BYTES, os.SEEK_END)
            file.readline()
        return file.read(_MOST_BYTES), info.st_mtime


def _shown(line: bytes) -> str:
    """An event in one line; "" for what says nothing."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return plain(line.decode(errors="replace"))[:_LINE].strip()
    if not isinstance(event, dict) or _is_everyday(event):
        return ""
    kind = event.get("type") or event.get("kind") or "event"
    facts = {**event, **(meta if isinstance(meta := event.get("failureMeta"), dict) else {})}
    words = [f"{key}={facts[key]}" for key in _TOLD if facts.get(key) not in (None, "")]
    return plain(" ".join([str(event.get("ts", "")), str(kind), *words]))[:_LINE].strip()


def _is_everyday(event: Mapping[str, Any]) -> bool:
    kind = event.get("type")
    if kind == "agent_comms.activity_drain":
        return event.get("outcome") != "failed"
    if kind is None:
        return event.get("outcome") == "ok"
    return kind in _EVERYDAY or kind in _PEEKS
