"""What the bridge makes of an endpoint's answer to ``POST /wake``. Pure.

The table is the protocol page's; the classes are the true CLI's
[external/raftChannelWakeAdapter.ts].
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

CLASSES = ("auth_revoked", "busy", "no_session", "protocol_mismatch", "injection_failed")

BY_STATUS = {
    401: "auth_revoked",
    403: "auth_revoked",
    409: "busy",
    429: "busy",
    404: "no_session",
    410: "no_session",
    426: "protocol_mismatch",
    501: "protocol_mismatch",
}


class Verdict(NamedTuple):
    #: None: injected, the bridge forgets the hint.
    failure: str | None
    reason: str = ""
    #: Recorded, never obeyed.
    retry_after_ms: int | None = None
    #: The runtime session that took the wake.
    session: str | None = None

    @property
    def injected(self) -> bool:
        return self.failure is None


_PLUGIN = "Claude Code Raft channel plugin"
UNCONFIGURED = Verdict("no_session", f"{_PLUGIN} endpoint is not configured")


def unreachable(why: str) -> Verdict:
    """Refused, reset, or no answer before the client's own timeout."""
    return Verdict("no_session", f"{_PLUGIN} endpoint is unreachable: {why}")


def judge(status: int, content_type: str, body: bytes, stand_in: str | None = None) -> Verdict:
    """The verdict on an answer. JSON is read only where the type says so. ``stand_in``: the runtime
    session of a success that names none.
    """
    raw = _json(content_type, body)
    if raw is None:
        return Verdict("injection_failed", "Cannot read properties of null (reading 'ok')")
    if raw.get("ok") is False or not 200 <= status < 300:
        return _judge_refusal(status, raw)
    session = raw.get("runtimeSession")
    session = stand_in if session is None else session
    if not session:
        told = f"{_PLUGIN} accepted wake but did not return runtimeSession"
        return Verdict("protocol_mismatch", told)
    if not isinstance(session, str):
        return Verdict("injection_failed", "runtimeSession is no string")
    return Verdict(None, session=session)


def _judge_refusal(status: int, raw: dict[str, Any]) -> Verdict:
    """What is no number in place of ``retryAfterMs`` is as if it was not there."""
    failure, reason, retry = (raw.get(k) for k in ("failureClass", "reason", "retryAfterMs"))
    if isinstance(retry, bool) or not isinstance(retry, int | float):
        retry = None
    typed = (
        (failure is None or failure in CLASSES)
        and (reason is None or (isinstance(reason, str) and reason))
        and (not retry or (retry > 0 and float(retry).is_integer()))
    )
    if not typed:
        return Verdict("injection_failed", "a field of the refusal has the wrong type")
    told = failure or BY_STATUS.get(status, "injection_failed")
    rejected = f"{_PLUGIN} rejected wake attempt with HTTP {status}"
    return Verdict(told, reason or rejected, int(retry) if retry else None)


def _json(content_type: str, body: bytes) -> dict[str, Any] | None:
    """None for ``null``, which the CLI trips over."""
    # As written: another spelling of the type counts for none.
    if "application/json" not in content_type:
        return {}
    try:
        raw = json.loads(body)
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) or raw is None else {}
