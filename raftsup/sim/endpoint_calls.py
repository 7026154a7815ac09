"""The bridge's two calls to the host: the wake, and the activity drain after each pass."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from raftsup.sim import verdict, wire
from raftsup.sim.bridge_report import Identity, timestamp
from raftsup.sim.bridge_state import Hint
from raftsup.sim.verdict import Verdict

WAKE_SCHEMA = "raft-channel-wake.v1"
DRAIN_SCHEMA = "raft-activity-drain.v1"


class DrainFailed(Exception):
    """The host's activity could not be read; the message says why."""


class Endpoint:
    def __init__(self, url: str, token: str, identity: Identity) -> None:
        """Raises ``ValueError`` for a URL that is no http one."""
        self._peer = wire.Peer(url)
        self._token = token
        self._identity = identity

    def wake(self, hint: Hint, timeout: float) -> Verdict:
        """POST one wake. Event id, attempt id and time are fresh each time, the rest is not."""
        body = {
            "schema": WAKE_SCHEMA,
            "attemptId": f"attempt_{uuid.uuid4()}",
            "eventId": f"event_{uuid.uuid4()}",
            "messageId": hint["message_id"],
            "agentId": self._identity.agent_id,
            "profile": self._identity.profile,
            "coreSessionId": self._identity.core_session_id,
            "adapterInstance": self._identity.adapter_instance,
            "occurredAt": timestamp(time.time()),
        }
        headers = {"x-raft-bridge-token": self._token, "content-type": "application/json"}
        data = json.dumps(body).encode()
        try:
            answer = self._peer.request("POST", self._peer.path, headers, data, timeout)
        except wire.WireError:
            return verdict.UNREACHABLE
        return verdict.judge(answer.status, answer.headers.get("content-type", ""), answer.body)

    def drain(self, timeout: float, most: int = 50) -> dict[str, Any]:
        """The host's activity since the last drain. Raises ``DrainFailed``."""
        headers = {"x-raft-bridge-token": self._token}
        base = self._peer.path.rpartition("/")[0]
        try:
            answer = self._peer.request(
                "GET", f"{base}/activity/drain?max={most}", headers, timeout=timeout
            )
            raw = json.loads(answer.body) if answer.status == 200 else None
        except (wire.WireError, ValueError) as error:
            raise DrainFailed(str(error)) from error
        if not isinstance(raw, dict) or raw.get("schema") != DRAIN_SCHEMA:
            raise DrainFailed(f"status {answer.status} is no {DRAIN_SCHEMA}")
        if not isinstance(raw.get("events"), list):
            raise DrainFailed("events is no list")
        return raw
