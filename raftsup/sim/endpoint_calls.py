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

from raftsup.sim import answer_class, js, wire
from raftsup.sim.answer_class import Verdict
from raftsup.sim.bridge_report import Identity, timestamp
from raftsup.sim.bridge_state import Hint, message_id
from raftsup.sim.js import JsTypeError

WAKE_SCHEMA = "raft-channel-wake.v1"
DRAIN_SCHEMA = "raft-activity-drain.v1"
EVENT_SCHEMA = "raft-activity.v1"
_TOKEN = "x-raft-bridge-token"  # noqa: S105 (the header's name, not a token)
_TEXT = 4096
_CUT = "\n[truncated]"


class DrainFailed(Exception):
    """The host's activity could not be read; ``kind`` is what the CLI calls the error."""

    def __init__(self, kind: str, message: str, dropped: int = 0) -> None:
        super().__init__(message)
        self.kind, self.dropped = kind, dropped


class WakeEndpoint:
    """Where wakes go. Without a URL, or with one that leads nowhere, each of them fails."""

    def __init__(self, url: str | None, token: str | None, patience: float = wire.PATIENCE) -> None:
        self._url, self._peer = url, _peer(url, patience)
        self._headers = {"content-type": "application/json", **_said(token)}

    def wake(
        self, who: Identity, hint: Hint, attempt: str, stand_in: str | None
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
        if not self._url:
            return body, answer_class.UNCONFIGURED
        if self._peer is None:
            return body, answer_class.unreachable(_why(self._url))
        data = js.dumps(body).encode()
        try:
            answer = self._peer.request("POST", self._peer.path, self._headers, data)
        except wire.Torn as error:
            return body, answer_class.judge(error.status, "", b"", stand_in)
        except wire.WireError:
            return body, answer_class.unreachable("fetch failed")
        kind = answer.headers.get("content-type", "")
        return body, answer_class.judge(answer.status, kind, answer.body, stand_in)


class ActivitySource:
    """Where the host's activity is read, with each pass."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url, self._peer, self._headers = url, _peer(url), _said(token)

    def drain(self, timeout: float, most: int) -> dict[str, Any]:
        """The host's activity since the last drain. Raises ``DrainFailed``, and ``JsTypeError``
        for what the CLI trips over.
        """
        answer = self._ask(timeout, most)
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
        if raw is None:
            raise JsTypeError.of_null("schema")
        said: dict[str, Any] = raw if isinstance(raw, dict) else {}
        if said.get("schema") != DRAIN_SCHEMA or not isinstance(said.get("events"), list):
            told = f"activity drain response did not match {DRAIN_SCHEMA}"
            raise DrainFailed("ProtocolError", told, whole(said.get("dropped")))
        return said

    def _ask(self, timeout: float, most: int) -> wire.Answer:
        if self._peer is None:
            raise DrainFailed("TypeError", _why(self._url))
        path = f"{self._peer.path}{'&' if '?' in self._peer.path else '?'}max={most}"
        try:
            return self._peer.request("GET", path, self._headers, timeout=timeout)
        except wire.TimedOut as error:
            why = "The operation was aborted due to timeout"
            raise DrainFailed("TimeoutError", why) from error
        except wire.WireError as error:
            raise DrainFailed("TypeError", "fetch failed") from error


def derived_drain(wake_url: str | None) -> str | None:
    """Where activity is read if nothing else is said; None beside a URL that is none."""
    if not wake_url or not _is_url(wake_url):
        return None
    return urlsplit(wake_url)._replace(path="/activity/drain", query="", fragment="").geturl()


def _said(token: str | None) -> dict[str, str]:
    return {_TOKEN: token} if token else {}


def _peer(url: str | None, patience: float = wire.PATIENCE) -> wire.Peer | None:
    """None where nobody can be reached: no URL, or of a scheme that is not doubled."""
    try:
        return wire.Peer(url, patience=patience) if url else None
    except ValueError:
        return None


def _is_url(text: str) -> bool:
    try:
        return bool(urlsplit(text).scheme and urlsplit(text).netloc and urlsplit(text).port != 0)
    except ValueError:
        return False


def _why(url: str) -> str:
    return "fetch failed" if _is_url(url) else "Invalid URL"


def whole(value: Any) -> int:
    """A count or a duration as the CLI takes it: whole and not negative, else 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and value > 0 else 0


def sanitized(events: Iterable[Any]) -> tuple[list[dict[str, Any]], int]:
    """What of drained events goes to Raft, and how many do not. ``detail`` is not among it.
    Raises ``JsTypeError`` for an event that is null.
    """
    good: list[dict[str, Any]] = []
    rejected = 0
    for raw in events:
        if raw is None:
            raise JsTypeError.of_null("hookEventName")
        found = raw if isinstance(raw, dict) else {}
        hook = _text(found, "hookEventName", 80)
        if hook is None:
            rejected += 1
            continue
        event: dict[str, Any] = {
            "schema": EVENT_SCHEMA,
            "eventId": _text(found, "eventId", 160) or f"event_{uuid.uuid4()}",
            "hookEventName": hook,
            "occurredAt": _time(_either(found, "occurredAt")),
        }
        for key, most in (
            ("sessionId", 200), ("toolName", 120), ("status", 40), ("errorClass", 120)
        ):  # fmt: skip
            if (text := _text(found, key, most)) is not None:
                event[key] = text
        if took := whole(_either(found, "durationMs")):
            event["durationMs"] = took
        for key in ("toolInput", "toolOutput"):
            event |= _shortened(key, found)
        good.append(event)
    return good, rejected


def _either(event: Mapping[str, Any], key: str) -> Any:
    """By its name, or by the same in snake case."""
    value = event.get(key)
    snake = re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), key)
    return event.get(snake) if value is None else value


def _text(event: Mapping[str, Any], key: str, most: int) -> str | None:
    value = _either(event, key)
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
    value, mark = _either(event, key), f"{key}Truncated"
    if value is None:
        return {}
    if not isinstance(value, str):
        value = js.dumps(value)
    if len(value) > _TEXT:
        return {key: value[: _TEXT - len(_CUT)] + _CUT, mark: True}
    before = _either(event, mark)
    return {key: value, mark: bool(event.get("truncated") if before is None else before)}
