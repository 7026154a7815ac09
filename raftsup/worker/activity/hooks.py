"""What an agent's own hooks report of their turn, ``POST /activity``: checked, and never content.

Source of the contract: Hermes' adapter (``raft`` platform, 0.19.0), whose ``/activity`` takes one
``raft-activity.v1`` object a request: 16 KiB at most (413), the bridge's token header (401), only
fields that it knows, each a bounded scalar (400), and 202 for what it queued. Ours differs where
this host's promises do:

- ``toolInput``, ``toolOutput`` and their like are **refused**, not passed on: a hook that sends
  what its agent reads or writes is told so at once, and nothing of such a report is kept.
- Needed are ``schema`` and ``hookEventName``. ``eventId``, ``occurredAt``, ``durationMs`` and
  ``errorClass`` are ours where they are missing, ``occurredAt`` also where it lies outside of the
  attempt. ``sessionId`` is taken and left out: the session that Raft knows is the worker's.
- ``status`` may be a state of the agent's or an outcome. Only a failed one is heard: the agent's
  state after an event is for ``worker.activity`` to say, which knows what else runs.
- A tool's begin and end go the way of a runner's steps. Every other hook says only that no tool is
  in use; that a turn begins or ends is the dispatcher's word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from raftsup import wake
from raftsup.hook_token import Run
from raftsup.wake import Refused
from raftsup.worker.activity import codec
from raftsup.worker.activity.state import Heard

SCHEMA = "raft-activity.v1"
#: Each known hook, as the kind of a runner's step.
HOOKS: Mapping[str, str] = MappingProxyType(
    {
        "PreToolUse": "tool_started",
        "PostToolUse": "tool_ended",
        "PostToolUseFailure": "tool_ended",
        "PostToolBatch": "thinking",
        "UserPromptSubmit": "thinking",
        "SessionStart": "thinking",
        "SessionEnd": "thinking",
        "Stop": "thinking",
    }
)
_FAILED = frozenset({"error", "failed"})
STATUSES = _FAILED | {
    "ok", "started", "succeeded", "completed", "online", "thinking", "working", "offline",
}  # fmt: skip
_WORDS = ("eventId", "sessionId", "toolName", "errorClass")
FIELDS = frozenset({"schema", "hookEventName", "status", "occurredAt", "durationMs", *_WORDS})
#: Content that Hermes' adapter would pass on, and what other CLIs call it.
CONTENT = wake.CONTENT_KEYS | {
    "detail", "prompt", "toolinput", "toolinputtruncated", "tooloutput", "tooloutputtruncated",
    "tool_input", "tool_output", "tool_response", "truncated",
}  # fmt: skip
#: Characters of any text.
_LONGEST = 120
_LONGEST_MS = 30 * 24 * 3600 * 1000


@dataclass(frozen=True)
class Report:
    """What one hook reported. ``at`` in Unix seconds, ``took`` in seconds; None: it did not say."""

    hook: str
    tool: str = ""
    failed: bool = False
    event_id: str = ""
    at: float | None = None
    took: float | None = None
    error_class: str = ""

    def heard(self, run: Run, since: float, now: float) -> Heard:
        """As a step of the attempt, which runs since then."""
        said = self.at
        at = said if said is not None and since <= said <= now else now
        return Heard("turn.step", run, at, HOOKS[self.hook], self.tool, self.failed)


def parse(body: bytes) -> Report:
    """The report in a body of at most ``wake.BODY_LIMIT`` bytes. Raises ``Refused`` 400."""
    text, event = wake.json_object(body)
    for key in event:
        _check_key(key)
    for key, value in event.items():
        _check_value(key, value)
    _check_repeats(text)
    if event.get("schema") != SCHEMA:
        raise Refused(400, f'schema must be "{SCHEMA}"')
    hook = event.get("hookEventName", "")
    if hook not in HOOKS:
        raise Refused(400, f"hookEventName must be one of {', '.join(HOOKS)}")
    status = event.get("status")
    if status is not None and status not in STATUSES:
        raise Refused(400, f"status must be one of {', '.join(sorted(STATUSES))}")
    words = {key: _word(key, event.get(key)) for key in _WORDS}
    return Report(
        hook,
        words["toolName"],
        hook == "PostToolUseFailure" or status in _FAILED,
        words["eventId"],
        _time(event.get("occurredAt")),
        _seconds(event.get("durationMs")),
        words["errorClass"],
    )


def _check_key(key: str) -> None:
    if key.casefold() in CONTENT:
        raise Refused(
            400,
            "the report carries content: a hook may tell a tool's name, never its input, its"
            " output or a text",
        )
    if key not in FIELDS:
        # The key itself may be anything.
        raise Refused(400, f"there is a field that is not known; known are {_listed(FIELDS)}")


def _check_value(key: str, value: Any) -> None:
    if isinstance(value, dict | list):
        raise Refused(400, f"{key} must be a text or a number")
    if isinstance(value, str) and len(value) > _LONGEST:
        raise Refused(400, f"{key} is longer than {_LONGEST} characters")


def _check_repeats(text: str) -> None:
    """What a repeated key hides nobody has looked at."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise Refused(400, "a field is there twice")
        return dict(pairs)

    try:
        json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):  # of a number with more digits than Python reads, say
        raise Refused(400, "the body is not a flat JSON object") from None


def _word(key: str, value: Any) -> str:
    if value is None:
        return ""
    if not (isinstance(value, str) and codec.is_word(value)):
        raise Refused(400, f"{key} must be a word of letters, digits and . _ : / -")
    return value


def _time(value: Any) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (good and 0 <= value <= _LONGEST_MS):
        raise Refused(400, f"durationMs must be a number from 0 to {_LONGEST_MS}")
    return float(value) / 1000


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
