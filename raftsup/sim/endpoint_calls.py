"""The bridge's two calls to the host: the wake, and the activity drain of each pass.

Source: RAFT_PROTOCOL, "POST /wake" and "GET /activity/drain" [external/raftChannelWakeAdapter.ts,
commands/agent/bridge.ts, agentCommsCore/bridge.ts].
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from raftsup.sim import verdict, wire
from raftsup.sim.bridge_report import Identity, timestamp
from raftsup.sim.bridge_state import Hint, message_id
from raftsup.sim.verdict import Verdict

WAKE_SCHEMA = "raft-channel-wake.v1"
DRAIN_SCHEMA = "raft-activity-drain.v1"
EVENT_SCHEMA = "raft-activity.v1"
_TOKEN = "x-raft-bridge-token"  # noqa: S105 (the header's name, not a token)
_TEXT = 4096
_CUT = "\n[truncated]"


class DrainFailed(Exception):
    """The host's activity could not be read; ``kind`` is what the CLI calls the error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Endpoint:
    """Without a ``url`` every wake fails, and nothing is drained."""

    def __init__(self, url: str | None, token: str | None, drain_url: str | None = None) -> None:
        """Raises ``ValueError`` for a URL that is no http one."""
        self._peer = wire.Peer(url) if url else None
        derived = "http://" + urlsplit(url).netloc + "/activity/drain" if url else None
        drain_url = drain_url or derived
        self._drain_peer = wire.Peer(drain_url) if drain_url else None
        self._headers = {_TOKEN: token} if token else {}

    @property
    def drains(self) -> bool:
        return self._drain_peer is not None

    def wake(
        self, who: Identity, hint: Hint, attempt: str, timeout: float, stand_in: str | None
    ) -> tuple[dict[str, Any], Verdict]:
        """POST one wake; what was sent and the verdict. Event id and time are fresh each time.
        ``stand_in``: the runtime session of a success that names none.
        """
        body = {
            "schema": WAKE_SCHEMA,
            "attemptId": attempt,
            "eventId": f"event_{uuid.uuid4()}",
            "messageId": message_id(hint),
            "agentId": who.agent_id,
            "profile": who.profile,
            "coreSessionId": who.core_session_id,
            "adapterInstance": who.adapter_instance,
            "occurredAt": timestamp(),
        }
        if self._peer is None:
            return body, Verdict("no_session", "no wake endpoint is configured")
        headers = {"content-type": "application/json", **self._headers}
        data = json.dumps(body).encode()
        try:
            answer = self._peer.request("POST", self._peer.path, headers, data, timeout)
        except wire.Torn as error:
            return body, verdict.judge(error.status, "", b"", stand_in)
        except wire.WireError:
            return body, verdict.UNREACHABLE
        kind = answer.headers.get("content-type", "")
        return body, verdict.judge(answer.status, kind, answer.body, stand_in)

    def drain(self, timeout: float, most: int) -> dict[str, Any]:
        """The host's activity since the last drain. Raises ``DrainFailed``."""
        assert self._drain_peer is not None
        path = f"{self._drain_peer.path}?max={most}"
        try:
            answer = self._drain_peer.request("GET", path, self._headers, timeout=timeout)
        except wire.TimedOut as error:
            why = "The operation was aborted due to timeout"
            raise DrainFailed("TimeoutError", why) from error
        except wire.WireError as error:
            raise DrainFailed("TypeError", "fetch failed") from error
        raw: Any = {}
        if "application/json" in answer.headers.get("content-type", ""):
            try:
                raw = json.loads(answer.body)
            except ValueError as error:
                raise DrainFailed("SyntaxError", str(error)) from error
        if not 200 <= answer.status < 300:
            told = raw.get("error") if isinstance(raw, dict) else None
            why = told if isinstance(told, str) else f"HTTP {answer.status}"
            raise DrainFailed("CliError", why)
        if not isinstance(raw, dict) or raw.get("schema") != DRAIN_SCHEMA:
            raise DrainFailed("ProtocolError", f"the answer did not match {DRAIN_SCHEMA}")
        if not isinstance(raw.get("events"), list):
            raise DrainFailed("ProtocolError", f"the answer did not match {DRAIN_SCHEMA}")
        return raw


def sanitized(events: Iterable[Any]) -> tuple[list[dict[str, Any]], int]:
    """What of drained events goes to Raft, and how many do not. ``detail`` is not among it."""
    good: list[dict[str, Any]] = []
    rejected = 0
    for raw in events:
        found = raw if isinstance(raw, dict) else {}
        hook = _text(found, "hookEventName", 80)
        if hook is None:
            rejected += 1
            continue
        event: dict[str, Any] = {
            "schema": EVENT_SCHEMA,
            "eventId": _text(found, "eventId", 160) or f"event_{uuid.uuid4()}",
            "hookEventName": hook,
            "occurredAt": _time(found.get("occurredAt", found.get("occurred_at"))),
        }
        for key, most in (("sessionId", 200), ("toolName", 120), ("status", 40)):
            if (text := _text(found, key, most)) is not None:
                event[key] = text
        took = found.get("durationMs")
        if isinstance(took, int | float) and not isinstance(took, bool) and took > 0:
            event["durationMs"] = int(took)
        if (text := _text(found, "errorClass", 120)) is not None:
            event["errorClass"] = text
        for key in ("toolInput", "toolOutput"):
            if found.get(key) is not None:
                event |= _shortened(key, found)
        good.append(event)
    return good, rejected


def _text(event: Mapping[str, Any], key: str, most: int) -> str | None:
    snake = re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), key)
    value = event.get(key, event.get(snake))
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text[:most] or None


def _time(value: Any) -> str:
    """As the CLI writes it; now, where it is none."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return timestamp()
    return timestamp(found.replace(tzinfo=found.tzinfo or UTC).timestamp())


def _shortened(key: str, event: Mapping[str, Any]) -> dict[str, Any]:
    value = event[key]
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > _TEXT:
        return {key: text[: _TEXT - len(_CUT)] + _CUT, f"{key}Truncated": True}
    return {key: text, f"{key}Truncated": bool(event.get(f"{key}Truncated"))}
