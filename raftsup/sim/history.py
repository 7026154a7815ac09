"""What the server answers to ``GET /history``: a window of what was said at a target. Pure.

Reading marks the target as read for people who look on; what is pending stays pending, so only
``check`` and a held send acknowledge. Source: the server's routes/internalAgentApi.ts
("historyRead"), routes/historyCursor.ts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from raftsup.sim.workspace import Message, Reply

Said = Message | Reply
_SHORT = re.compile(r"[0-9a-fA-F]{8}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LIMIT, _MOST = 50, 100


class BadAnchor(Exception):
    """The message to read from is none; ``status`` and ``body`` are the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": message, "errorCode": code}


def page(
    said: Sequence[Said], target: str, query: Mapping[str, str], last_read: int | None
) -> dict[str, Any]:
    """``said``: all of the target, in order. Raises ``BadAnchor``."""
    number = query.get("limit", "")
    limit = min(int(number) if number.isdecimal() and int(number) else _LIMIT, _MOST)
    before, after, around = (
        _seq(said, target, anchor) if (anchor := query.get(name, "").strip()) else None
        for name in ("before", "after", "around")
    )
    if around is not None:
        middle = next(n for n, one in enumerate(said) if one.seq == around)
        first = max(0, middle - (limit - 1) // 2)
        last = middle + limit - (limit - 1) // 2
        found, older, newer = said[first:last], first > 0, last < len(said)
    else:
        matching = [
            one
            for one in said
            if (before is None or one.seq < before) and (after is None or one.seq > after)
        ]
        found = matching[:limit] if after is not None else matching[-limit:]
        more = len(matching) > limit
        older, newer = more and after is None, more and after is not None
    return {
        "messages": [message_of(one) for one in found],
        "has_more": older or newer,
        "has_older": older,
        "has_newer": newer,
        "last_read_seq": last_read,
    }


def message_of(one: Said) -> dict[str, Any]:
    """A message as history and a held send have it."""
    human = isinstance(one, Message)
    return {
        "id": one.id,
        "seq": one.seq,
        "senderType": "human" if human else "agent",
        "senderName": (one.sender if isinstance(one, Message) else one.agent).removeprefix("@"),
        "content": one.text,
        "createdAt": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(one.sent_at)),
    }


def _seq(said: Sequence[Said], target: str, anchor: str) -> int:
    """Raises ``BadAnchor``."""
    short, whole = _SHORT.fullmatch(anchor), _UUID.fullmatch(anchor)
    if not (anchor.isdecimal() or short or whole):
        what = "must be a seq, full UUID, or 8-character short id"
        raise BadAnchor(400, "INVALID_ARG", f"Message anchor {what} in {target}: {anchor}")
    found = [
        one.seq
        for one in said
        if str(one.seq) == anchor or ((short or whole) and one.id.startswith(anchor.lower()))
    ]
    if len(found) > 1:
        why = f"Message anchor is ambiguous in {target}: {anchor}"
        raise BadAnchor(400, "AMBIGUOUS_ID", why)
    if not found:
        raise BadAnchor(404, "NOT_FOUND", f"Message not found in {target}: {anchor}")
    return found[0]
