"""The server's agent API, as the CLI and the bridge call it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from raftsup.sim import wire
from raftsup.sim.profiles import Profile

PREFIX = "/internal/agent-api"


class Rejected(Exception):
    """The server answered 4xx; it will not answer otherwise later."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server answered {status}")
        self.status = status

    @property
    def code(self) -> str:
        return "AUTH_REVOKED" if self.status == 401 else "SERVER_REJECTED"


class Trouble(Exception):
    """The server answered 5xx or no JSON, or not at all: later it may."""


class AgentApi:
    def __init__(self, profile: Profile, timeout: float = 30.0) -> None:
        """Raises ``ValueError`` for a server URL that is no http one."""
        self._peer = wire.Peer(profile.server_url)
        self._headers = {"authorization": f"Bearer {profile.token}"}
        self._timeout = timeout
        #: The header by which the simulator tells a bridge to misbehave.
        self.fault_word = ""

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """Raises ``Rejected``, ``Trouble`` or ``wire.Refused``."""
        return self._call("GET", f"{PREFIX}{path}{'?' + urlencode(query) if query else ''}")

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises ``Rejected``, ``Trouble`` or ``wire.Refused``."""
        return self._call("POST", PREFIX + path, json.dumps(body).encode())

    def stream(self, since: int) -> wire.Stream:
        """Raises ``Rejected``, ``Trouble`` or ``wire.Refused``."""
        path = f"{PREFIX}/wake-hints/stream?since={since}"
        headers = self._headers | {"accept": "text/event-stream"}
        try:
            opened = self._peer.open(path, headers, self._timeout)
        except wire.Refused:
            raise
        except wire.WireError as error:
            raise Trouble(str(error)) from error
        is_stream = opened.headers.get("content-type", "").startswith("text/event-stream")
        if opened.status == 200 and is_stream:
            return opened
        opened.sock.close()
        raise _failure(opened.status)

    def _call(self, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        try:
            answer = self._peer.request(method, path, self._headers, body, self._timeout)
            raw = json.loads(answer.body) if answer.status == 200 else None
        except wire.Refused:
            raise
        except (wire.WireError, ValueError) as error:
            raise Trouble(str(error)) from error
        self.fault_word = answer.headers.get("x-raft-sim-fault", "")
        if not isinstance(raw, dict):
            raise _failure(answer.status)
        return raw


def _failure(status: int) -> Rejected | Trouble:
    if 400 <= status < 500:
        return Rejected(status)
    return Trouble(f"the server answered {status}")
