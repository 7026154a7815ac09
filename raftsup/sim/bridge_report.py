"""What the bridge says: NDJSON events on stdout with ``--json``, all of them in ``bridge.log``.

Shapes: RAFT_PROTOCOL, "What it says, and when" [agentCommsCore/bridge.ts,
external/raftChannelWakeAdapter.ts].
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from typing import Any, NamedTuple

from raftsup.sim import js
from raftsup.sim.answer_class import Verdict
from raftsup.sim.bridge_state import BridgeState, Hint, hint_id, hint_seq, stripped

PROTOCOL = "agent-comms-core.v1"
PROOF_SCHEMA = "agent-proof.v1"
_SOURCE = "slock-agent-bridge"
Event = dict[str, Any]


class Identity(NamedTuple):
    agent_id: str
    profile: str
    core_session_id: str
    adapter_instance: str = "default"


def timestamp(now: float | None = None) -> str:
    """Unix seconds as the CLI writes a time: ``2026-11-21T08:00:00.000Z``."""
    now = time.time() if now is None else now
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{whole}.{int(now % 1 * 1000):03d}Z"


def lifecycle(who: Identity, state: str) -> Event:
    return {
        **_common(who, "agent_comms.lifecycle"),
        "state": state,
        "lifecycleState": state,
        "commsMode": "spawn-core",
    }


def proof(who: Identity, hint: Hint, attempt: str, level: str) -> Event:
    named, seq, target = hint_id(hint), hint_seq(hint), hint.get("target")
    event = _common(who, "agent_comms.proof")
    if level == "server_delivered":
        event["provenance"] = {**event["provenance"], "authority": "server_core"}
    return {
        **event,
        "attemptId": attempt,
        "lifecycleState": "handoff_pending",
        "wakeHintId": named,
        "seq": seq,
        "proofLevel": level,
        "proof": {
            "level": level,
            "wakeHintId": named,
            "seq": seq,
            "target": target if isinstance(target, str) and target else None,
            "cursorImpact": {
                "wakeDedup": True,
                "deliveryAck": False,
                "modelSeen": False,
                "read": False,
            },
        },
    }


def handoff(who: Identity, hint: Hint, attempt: str, replay: bool) -> Event:
    named, seq = hint_id(hint), hint_seq(hint)
    return {
        **_common(who, "agent_comms.handoff"),
        "attemptId": attempt,
        "state": "handoff_pending",
        "lifecycleState": "handoff_pending",
        "replay": replay,
        "wakeHintId": named,
        "seq": seq,
        "proofLevel": "harness_accepted",
        "wakeHint": stripped(hint),
        "acceptedProof": {"level": "harness_accepted", "wakeHintId": named, "seq": seq},
    }


def wake_result(wake: Event, verdict: Verdict, stand_in: str | None) -> Event:
    """What became of a POST whose identity is ``wake``: an event without a ``type``. ``stand_in``:
    the runtime session of the command line.
    """
    result: Event = {
        **{k: v for k, v in wake.items() if k != "schema"},
        "schema": "slock-external-agent-wake-event.v1",
        "authority": {"source": "wake_adapter", "provenance": "adapter_observed"},
    }
    if verdict.injected:
        return result | {
            "runtimeSession": verdict.session,
            "kind": "proof",
            "proofLevel": "wake_injected",
            "outcome": "ok",
            "lifecycleState": "handoff_pending",
        }
    meta: Event = {"failureClass": verdict.failure}
    if verdict.retry_after_ms:
        meta["retryAfterMs"] = verdict.retry_after_ms
    return result | {
        "runtimeSession": stand_in,
        "kind": "wake_attempt",
        "outcome": "failed",
        "failureMeta": meta,
        "reason": verdict.reason,
        "lifecycleState": "degraded_backoff",
    }


def activity_drain(who: Identity, outcome: str, **counts: object) -> Event:
    event = _common(who, "agent_comms.activity_drain")
    del event["proofSchemaVersion"]
    none = dict.fromkeys(("drainedCount", "forwardedCount", "rejectedCount", "droppedCount"), 0)
    return {**event, "outcome": outcome, **none, **counts}


def _common(who: Identity, type: str) -> Event:
    return {
        "type": type,
        "eventId": f"event_{uuid.uuid4()}",
        "protocolVersion": PROTOCOL,
        "proofSchemaVersion": PROOF_SCHEMA,
        "timestamp": timestamp(),
        "coreSessionId": who.core_session_id,
        "agentId": who.agent_id,
        "profile": who.profile,
        "profileSlug": who.profile,
        "adapterInstance": who.adapter_instance,
        "runtimeSession": None,
        "source": _SOURCE,
        "provenance": {
            "producer": "agent-comms-core",
            "authority": "comms_core",
            "source": _SOURCE,
        },
    }


class Reporter:
    def __init__(self, state: BridgeState, as_json: bool) -> None:
        self._state, self._as_json = state, as_json

    def emit(self, *events: Event) -> None:
        for event in events:
            self._state.log(event, timestamp())
            if self._as_json:
                sys.stdout.buffer.write(f"{js.dumps(event)}\n".encode())
        sys.stdout.buffer.flush()

    def started(self, mode: str, poll: float, reconcile: float) -> None:
        self.emit(
            {
                "type": "bridge_process_started",
                "pid": os.getpid(),
                "mode": mode,
                "pollIntervalMs": round(poll * 1000),
                "reconcileIntervalMs": round(reconcile * 1000),
            }
        )

    def say(self, words: str) -> None:
        """A diagnostic, whether ``--json`` was said or not."""
        sys.stderr.write(f"bridge: {words}\n")
        sys.stderr.flush()
