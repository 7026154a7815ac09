"""The two routes that bridges alone ask, and what the CLI makes of what is answered there.

Whatever is no answer, or no JSON of the agreed shape, ends a bridge: only 5xx is waited out.
Source: RAFT_PROTOCOL, "What it says, and when" [daemonApiPath.ts, commands/agent/bridge.ts; of the
shared package: daemonApiRawClient.ts, daemonApiContract.ts].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from raftsup.sim import wire
from raftsup.sim.agent_api import AgentApi, ApiAnswer
from raftsup.sim.bridge_state import Hint
from raftsup.sim.cli_errors import CliError


class Transient(Exception):
    """A pass failed in a way that passes; ``code`` is what the CLI calls it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Pending(NamedTuple):
    hints: list[Hint]
    last_seq: int | None


_STRING = ("string",)
#: What a field of a hint may be where it is there; all else in a hint is as it comes.
_FIELDS: dict[str, tuple[str, ...]] = {
    "hintId": _STRING,
    "hint_id": _STRING,
    "eventId": _STRING,
    "event_id": _STRING,
    "messageId": ("string", "null"),
    "message_id": ("string", "null"),
    "seq": ("integer",),
    "id": _STRING,
    "target": _STRING,
    "targetType": _STRING,
    "target_type": _STRING,
    "reason": _STRING,
    "wake_reason": _STRING,
    "createdAt": _STRING,
    "created_at": _STRING,
}
#: Servers newer than CLI 0.0.24 send ``target: null``: to it, a shape that was not agreed.
_NEXT = _FIELDS | {"target": ("string", "null"), "seq": ("integer", "null")}


def wake_hints(api: AgentApi, since: int | str, limit: int, *, next: bool) -> Pending:
    """Peek at what is pending. Raises ``Transient`` and ``CliError``."""
    answer = _answered("wakeHintsFetch", lambda: api.get("/wake-hints", since=since, limit=limit))
    if answer.status >= 500:
        raise Transient("SERVER_5XX", answer.error or f"HTTP {answer.status}")
    if not answer.ok:
        raise CliError("BRIDGE_WAKE_HINTS_FAILED", answer.error or f"HTTP {answer.status}")
    if wrong := disagreement(answer.data, _NEXT if next else _FIELDS):
        raise _misread("wakeHintsFetch", "match the shared contract", *wrong)
    page = answer.data
    last = page.get("last_seen_hint_seq")
    last = page.get("last_hint_seq") if last is None else last
    hints = page.get("hints", page.get("wake_hints", []))
    return Pending(hints, None if last is None else int(last))


def forward(api: AgentApi, body: Mapping[str, Any]) -> None:
    """Tell the server of activity. Raises ``CliError``."""
    answer = _answered("activityForward", lambda: api.post("/activity", body))
    if not answer.ok:
        code = "SERVER_5XX" if answer.status >= 500 else "BRIDGE_ACTIVITY_FORWARD_FAILED"
        raise CliError(code, answer.error or f"HTTP {answer.status}")


def disagreement(
    page: Any, fields: Mapping[str, tuple[str, ...]] = _FIELDS
) -> tuple[str, str, str] | None:
    """Where a page of hints is not as agreed: path, what is expected, what is there."""
    if not isinstance(page, dict):
        return "<root>", "object", _kind(page)
    for name in ("hints", "wake_hints"):
        hints = page.get(name, [])
        if not isinstance(hints, list):
            return name, "array", _kind(hints)
        for hint in hints:
            if (wrong := _odd(hint, fields)) is not None:
                field, expected, found = wrong
                return f"{name}[*]{field}", expected, found
    for name in ("last_seen_hint_seq", "last_hint_seq"):
        if _kind(page.get(name)) not in ("integer", "number", "null"):
            return name, "number", _kind(page[name])
    if _kind(page.get("has_more", False)) != "boolean":
        return "has_more", "boolean", _kind(page["has_more"])
    return None


def _odd(hint: Any, fields: Mapping[str, tuple[str, ...]]) -> tuple[str, str, str] | None:
    if not isinstance(hint, dict):
        return "", "object", _kind(hint)
    for field, allowed in fields.items():
        if field not in hint:
            continue
        found = _kind(hint[field])
        if found not in allowed:
            return f".{field}", "number" if "integer" in allowed else allowed[0], found
        if found == "integer" and hint[field] < 0:
            return f".{field}", "unknown", found
    return None


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _answered(route: str, ask: Callable[[], ApiAnswer]) -> ApiAnswer:
    """Raises ``CliError`` where there is no answer, or one that is no JSON."""
    try:
        answer = ask()
    except wire.WireError as error:
        raise CliError("CHECK_FAILED", f"Daemon API {route} transport request failed") from error
    if answer.code == "INVALID_JSON_RESPONSE" or (answer.ok and answer.data is None):
        raise _misread(route, "contain valid JSON", "<unavailable>", "unavailable", "unavailable")
    return answer


def _misread(route: str, what: str, path: str, expected: str, found: str) -> CliError:
    cause = "invalid_json_syntax" if expected == "unavailable" else "wrong_type"
    return CliError(
        "INVALID_JSON_RESPONSE",
        f"Daemon API {route} response did not {what} (cause={cause}; path={path};"
        f" expected_kind={expected}; actual_kind={found})",
    )
