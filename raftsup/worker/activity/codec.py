"""Activity on its two wires: the dispatcher's events as they come, Raft's as they go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from raftsup.hook_token import Run
from raftsup.terminal import stamp
from raftsup.worker.activity.state import Heard, Told

#: A name that an agent's maker chose; anything else may be a sentence, so it is left out.
#: 120 characters are what Raft takes.
_WORD = re.compile(r"[A-Za-z0-9._:/-]{1,120}")
_DETAIL = 200


def is_word(text: str) -> bool:
    """Whether it can be told as a tool's name, or the class of an error."""
    return _WORD.fullmatch(text) is not None


def parse(raw: Mapping[str, Any], account: str) -> Heard | None:
    """An event as ``subscribe`` sends it; None if it is another's, or nothing that we know."""
    match raw:
        case {"event": str(name), "account": whose, "turn": int(turn), "attempt": int(attempt)}:
            at = raw.get("at")
            if whose != account or not isinstance(at, (int, float)):
                return None
        case _:
            return None
    kind, tool = raw.get("kind"), raw.get("tool")
    return Heard(
        name,
        (turn, attempt),
        at,
        kind if isinstance(kind, str) else "",
        tool if isinstance(tool, str) and is_word(tool) else "",
        raw.get("failed") is True,
    )


def parse_running(running: Any, account: str) -> dict[Run, float]:
    """What runs for the account, from the ``running`` of the dispatcher's ``status``."""
    found: dict[Run, float] = {}
    for item in running if isinstance(running, list) else []:
        match item:
            case {"account": whose, "turn": int(turn), "attempt": int(attempt)}:
                since = item.get("startedAt")
                if whose == account and isinstance(since, (int, float)):
                    found[turn, attempt] = since
    return found


def wire(told: Told, event_id: str, session: str, at_ms: int) -> dict[str, Any]:
    """The ``raft-activity.v1`` event. ``at_ms`` is in Unix milliseconds."""
    event: dict[str, Any] = {
        "schema": "raft-activity.v1",
        "eventId": event_id,
        "sessionId": session,
        "hookEventName": told.hook,
        "status": told.status,
        "occurredAt": stamp(at_ms / 1000),
    }
    more = {
        "toolName": told.tool,
        "errorClass": told.error_class,
        "detail": told.detail[:_DETAIL],
    }
    event |= {key: text for key, text in more.items() if text}
    if told.took is not None:
        event["durationMs"] = max(0, round(told.took * 1000))
    return event
