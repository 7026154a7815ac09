"""The server's agent API, as the CLI and the bridge call it.

Source of headers and of what becomes of an answer: RAFT_PROTOCOL, "What the server gives the bridge
and the CLI" [client.ts, daemonApiPath.ts]. No request has a deadline but the HTTP client's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from raftsup.sim import js, wire
from raftsup.sim.profiles import Profile
from raftsup.sim.proxy import via

PREFIX = "/internal/agent-api"
#: Narrows what a credential may do.
_ACTIVE = "SLOCK_AGENT_ACTIVE_CAPABILITIES"


class ApiAnswer(NamedTuple):
    """What the CLI makes of an HTTP answer."""

    status: int
    #: The JSON of a good answer; None where it has none.
    data: Any
    #: Why it is no good one.
    error: str | None
    #: The server's own code, where it gave one.
    code: str | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300 and self.error is None


class AgentApi:
    def __init__(self, profile: Profile, patience: float = wire.PATIENCE) -> None:
        """Raises ``wire.WireError`` for a server URL that is no http one."""
        proxy = via(profile.server_url, os.environ)
        try:
            self._peer = wire.Peer(profile.server_url, proxy, patience)
        except ValueError as error:
            raise wire.WireError(str(error)) from error
        self._headers = {
            "authorization": f"Bearer {profile.token}",
            "x-agent-id": profile.agent_id,
            "x-raft-client": "cli",
        }
        if profile.server_id:
            self._headers["x-server-id"] = profile.server_id
        active = [word.strip() for word in os.environ.get(_ACTIVE, "").split(",")]
        if active := [word for word in active if word]:
            self._headers["x-slock-agent-active-capabilities"] = ",".join(active)
        #: The header by which the simulator tells a bridge to misbehave.
        self.fault_word = ""

    def get(self, path: str, **query: object) -> ApiAnswer:
        """Raises ``wire.WireError`` where there is no answer."""
        return self._call("GET", f"{PREFIX}{path}{'?' + urlencode(query) if query else ''}")

    def post(self, path: str, body: Mapping[str, Any]) -> ApiAnswer:
        """Raises ``wire.WireError`` where there is no answer."""
        return self._call("POST", PREFIX + path, js.dumps(body).encode())

    def stream(self, since: int | str) -> wire.Stream:
        """Opened, whatever the status. Raises ``wire.WireError`` where there is no answer."""
        path = f"{PREFIX}/wake-hints/stream?since={since}"
        return self._peer.open(path, self._headers)

    def _call(self, method: str, path: str, body: bytes = b"") -> ApiAnswer:
        headers = self._headers | {
            "content-type": "application/json",
            "x-raft-client-capabilities": "manual-context-v1",
        }
        try:
            answer = self._peer.request(method, path, headers, body)
        except wire.Torn as error:
            # As one that is no JSON, which half of it is not.
            return read(error.status, error.headers, b"")
        self.fault_word = answer.headers.get("x-raft-sim-fault", "")
        return read(answer.status, answer.headers, answer.body)


def read(status: int, headers: Mapping[str, str], body: bytes) -> ApiAnswer:
    """An answer as ``parseJsonResponse`` of the true CLI reads it [client.ts]."""
    good = 200 <= status < 300
    if "application/json" not in headers.get("content-type", ""):
        return ApiAnswer(status, None, None if good else f"HTTP {status}")
    try:
        raw = json.loads(body)
    except ValueError:
        error = f"Invalid JSON response from server/proxy (HTTP {status})"
        return ApiAnswer(status, None, error, "INVALID_JSON_RESPONSE")
    if good:
        return ApiAnswer(status, raw, None)
    told = raw if isinstance(raw, dict) else {}
    if status == 403 and (scope := told.get("requiredScope")):
        denied = (
            f"Permission denied. This agent lacks the `{scope}` capability, so this command can't"
            " run. Ask an authorized human to inspect or update this agent's scope grant through"
            " the API."
        )
        return ApiAnswer(status, None, denied, "SCOPE_DENIED")
    why, code = told.get("error"), told.get("errorCode") or told.get("code")
    return ApiAnswer(status, None, why if isinstance(why, str) else f"HTTP {status}", code)
