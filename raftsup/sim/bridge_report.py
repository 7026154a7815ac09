"""What the bridge says: NDJSON events on stdout (with ``--json``), words for people on stderr.

The shape of the events is the true CLI's (``type``, ``eventId``, ``timestamp`` …, protocol
``agent-comms-core.v1``).
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from typing import NamedTuple


class Identity(NamedTuple):
    agent_id: str
    profile: str
    core_session_id: str
    adapter_instance: str = "default"


def timestamp(now: float) -> str:
    """Unix seconds as the CLI writes a time: ``2026-11-21T08:00:00.000Z``."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{whole}.{int(now % 1 * 1000):03d}Z"


class Reporter:
    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._identity: Identity | None = None
        self._state = ""

    def identify(self, identity: Identity) -> None:
        self._identity = identity

    def event(self, type: str, **details: object) -> None:
        if not self._as_json:
            return
        record: dict[str, object] = {
            "type": type,
            "eventId": f"event_{uuid.uuid4()}",
            "protocolVersion": "agent-comms-core.v1",
            "timestamp": timestamp(time.time()),
        }
        if self._identity is not None:
            record |= {
                "coreSessionId": self._identity.core_session_id,
                "agentId": self._identity.agent_id,
                "profile": self._identity.profile,
                "adapterInstance": self._identity.adapter_instance,
            }
        sys.stdout.write(json.dumps(record | details) + "\n")
        sys.stdout.flush()

    def started(self) -> None:
        self.event("bridge_process_started", pid=os.getpid(), mode="stream")

    def lifecycle(self, state: str) -> None:
        """Only a change of state is news."""
        if state != self._state:
            self._state = state
            self.event("agent_comms.lifecycle", state=state, lifecycleState=state)

    def say(self, words: str) -> None:
        sys.stderr.write(f"[raft agent bridge] {words}\n")
        sys.stderr.flush()

    def fatal(self, code: str, message: str, *more: str) -> None:
        self.event("bridge_fatal", errorCode=code, message=message)
        complain(code, message, *more)


def complain(code: str, message: str, *more: str) -> None:
    """An error as the CLI prints it."""
    sys.stderr.write("\n".join([f"Error: {message}", f"Code: {code}", *more]) + "\n")
    sys.stderr.flush()
