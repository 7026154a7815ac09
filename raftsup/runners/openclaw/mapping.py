"""What is ours in a Gateway's words: its session, its steps, the end of its run. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from raftsup.config.model import OpenClawAgent
from raftsup.runners.base import Step
from raftsup.runners.openclaw.frames import one_line
from raftsup.runners.openclaw.websocket import Refused
from raftsup.turn import Outcome, OutcomeKind

#: What a Gateway says when a run failed for its own trouble, before any model was asked: its
#: workers are in each other's way (seen with 2026.9.6), some of them until it is restarted.
_ITS_OWN = ("owns state-lifecycle", "Agent database cleanup failed")
_UNSAFE = re.compile(r"[^a-z0-9_-]+")


def key_of(agent: OpenClawAgent, lane: str, default_agent: str) -> str:
    """The session's full key: ``agent:<agent id>:raft:<lane>`` unless the config names one."""
    owner = agent.agent_id or default_agent
    if agent.session_key:
        named = agent.session_key
        return named if named.startswith("agent:") else f"agent:{owner}:{named}"
    return f"agent:{owner}:raft:{_safe(lane)}"


def _safe(lane: str) -> str:
    """The lane's name as a part of a key; no two lanes have the same."""
    safe = _UNSAFE.sub("-", lane.lower())
    if safe == lane:
        return safe
    # A dot is in no safe name: no lane can be called what another one is turned into.
    return f"{safe}.{hashlib.blake2b(lane.encode(), digest_size=8).hexdigest()}"


def step_of(payload: Mapping[str, Any]) -> Step | None:
    """The step that the event's payload tells of, if it tells of one."""
    data = payload.get("data")
    if not isinstance(data, dict):
        return None
    match payload.get("stream"), data.get("phase"):
        case "lifecycle", "start":
            return Step("thinking")
        case "tool", "start":
            return Step("tool_started", str(data.get("name", "")))
        case "tool", "result":
            return Step("tool_ended", str(data.get("name", "")), data.get("isError") is True)
    return None


def outcome_of(status: str, *, error: str = "", stop_reason: str = "", phase: str = "") -> Outcome:
    """The outcome of a run that ended by itself, or by somebody else's hand at the Gateway.

    ``error`` is what the Gateway says of a model that failed; it names model and status, never
    the conversation.
    """
    said = one_line(error)
    if status == "ok":
        return Outcome(OutcomeKind.SUCCEEDED)
    if status == "aborted" or stop_reason in ("rpc", "aborted", "user", "stop_command"):
        return Outcome(OutcomeKind.CANCELLED, "somebody aborted the run at the Gateway")
    if stop_reason == "superseded":
        return Outcome(OutcomeKind.FAILED, "another run took the session over at the Gateway")
    if status == "timeout":
        where = f" (while {phase})" if phase else ""
        return Outcome(OutcomeKind.TIMED_OUT, f"the Gateway ended the run at a time limit{where}")
    if any(words in said for words in _ITS_OWN):
        advice = "if that lasts, restart the Gateway"
        return Outcome(
            OutcomeKind.POSTPONED, f"the Gateway cannot begin the run ({advice}): {said}"
        )
    return Outcome(OutcomeKind.FAILED, f"the Gateway's run failed: {said or status or 'no reason'}")


def of_wait(wait: Mapping[str, Any]) -> Outcome:
    """The outcome that an answer to ``agent.wait`` tells of; its end is known."""
    return outcome_of(
        str(wait.get("status")),
        error=str(wait.get("error") or ""),
        stop_reason=str(wait.get("stopReason") or ""),
        phase=str(wait.get("timeoutPhase") or ""),
    )


def text_of(wait: Mapping[str, Any]) -> str:
    """The run's final text; "" if it has none."""
    reply = wait.get("terminalReply")
    return str(reply.get("text") or "") if isinstance(reply, dict) else ""


def of_refusal(refused: Refused) -> Outcome:
    """The outcome of a run that was never begun, as the Gateway would not have it."""
    hint = ""
    if "agent" in refused.message.lower():
        hint = "; `openclaw agents list` on the Gateway's host shows what agentId may be"
    said = f"the Gateway refused the run: {one_line(str(refused))}{hint}"
    return Outcome(OutcomeKind.FAILED, said)
