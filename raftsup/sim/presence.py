"""What the server makes of reported activity: which events it takes, and each agent's dot.

Source: Raft's page on external agents, "Reporting status (raft-agent-status.v1)". The dot that
Raft guesses from the hooks of an agent that never reported a status is not simulated.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

STATUSES = frozenset({"online", "thinking", "working", "error", "offline"})
#: What older bridges put there: taken, and no report of a status.
OUTCOMES = frozenset({"started", "succeeded", "failed", "completed"})
MAX_DETAIL = 200


class BadReport(Exception):
    """The whole request is refused; the message is the server's code."""


@dataclass(frozen=True)
class Dot:
    status: str
    detail: str
    #: The report's own time, Unix seconds.
    at: float


def check(events: Iterable[Any]) -> None:
    """Raises ``BadReport``."""
    for event in events:
        if not isinstance(event, dict):
            raise BadReport("event_invalid")
        if event.get("status", "online") not in STATUSES | OUTCOMES:
            raise BadReport("status_invalid")
        detail = event.get("detail", "")
        if not isinstance(detail, str):
            raise BadReport("detail_invalid")
        if len(detail) > MAX_DETAIL:
            raise BadReport("detail_too_long")


def orderable(event: dict[str, Any]) -> bool:
    """Whether an event that reports a status can be told from others and put in order."""
    if event.get("status") not in STATUSES:
        return True
    return bool(event.get("eventId")) and _time(event) is not None


def newest(dot: Dot | None, event: dict[str, Any], now: float) -> Dot | None:
    """The dot after an event: the newest report wins, and none is newer than now."""
    at = _time(event)
    if at is None or event.get("status") not in STATUSES:
        return dot
    at = min(at, now)
    if dot is not None and at <= dot.at:
        return dot
    return Dot(event["status"], event.get("detail", ""), at)


def _time(event: dict[str, Any]) -> float | None:
    whole, _, rest = str(event.get("occurredAt")).removesuffix("Z").partition(".")
    try:
        seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
        return seconds + float(f"0.{rest or 0}")
    except ValueError:
        return None
