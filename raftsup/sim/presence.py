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
    """The whole request is refused; ``code`` is the server's."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


@dataclass(frozen=True)
class Dot:
    status: str
    detail: str
    #: The report's own time, Unix seconds.
    at: float


_SCHEMA = "raft-agent-activity-ingest.v1"
_MOST_EVENTS = 200
#: Either spelling.
_WORDS = "event_id session_id hook_event_name tool_name status occurred_at duration_ms error_class \
tool_input tool_output tool_input_truncated tool_output_truncated truncated schema"


def _camel(word: str) -> str:
    first, *rest = word.split("_")
    return first + "".join(part.title() for part in rest)


_ALLOWED = frozenset(_WORDS.split()) | frozenset(map(_camel, _WORDS.split()))


def events_of(body: dict[str, Any], next: bool) -> list[dict[str, Any]]:
    """The events of a report [the server's routes/internalAgentApi.ts]; newer servers know of a
    ``detail``. Raises ``BadReport``.
    """
    if body.get("schema") != _SCHEMA:
        raise BadReport("schema_invalid", f"schema must be {_SCHEMA}")
    events = body.get("events")
    if not isinstance(events, list):
        raise BadReport("events_invalid", "events must be an array")
    if len(events) > _MOST_EVENTS:
        raise BadReport("events_too_many", f"events cannot exceed {_MOST_EVENTS}")
    allowed = _ALLOWED | {"detail"} if next else _ALLOWED
    for event in events:
        if not isinstance(event, dict):
            raise BadReport("event_invalid", "events must contain objects")
        if {"transcript_path", "transcriptPath"} & event.keys():
            why = "transcript_path is not accepted on activity ingest"
            raise BadReport("transcript_path_forbidden", why)
        if unknown := [key for key in event if key not in allowed]:
            told = f"unknown activity event field: {unknown[0]}"
            raise BadReport("event_field_unknown", told)
    return events


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
