"""What a worker says of itself: ``worker.status_file`` writes it. Times are Unix seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import orjson


class BridgeReport(TypedDict, total=False):
    #: ``worker.bridge.state.BridgeState``, and why it is not listening.
    state: str
    reason: str
    pid: int | None
    #: Starts after the first of each worker, since the host began.
    restarts: int
    lastExit: str | None
    lastError: str | None
    #: Where the Raft CLI keeps its log; "" where that cannot be told.
    log: str
    #: Deaths in a row.
    failures: int
    since: float
    heardAt: float
    listenedAt: float


class WorkerReport(TypedDict, total=False):
    """Another version may have written it: no key is sure to be there."""

    account: str
    profile: str
    pid: int
    #: The parent's.
    host: int
    url: str
    #: Wakes that were refused.
    rejected: int
    bridge: BridgeReport


def read(path: Path) -> WorkerReport | None:
    """A worker's last report; None if there is none that can be read. It may outlive its worker:
    believe it only while the pid in it lives.
    """
    try:
        facts: WorkerReport = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    good = isinstance(facts, dict) and isinstance(facts.get("bridge", {}), dict)
    return facts if good else None
