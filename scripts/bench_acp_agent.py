"""An ACP agent that answers at once: what a turn costs beside its agent is left to see.

Source of the frames: https://agentclientprotocol.com/protocol/v1/ ; newline-delimited JSON-RPC.
"""

from __future__ import annotations

import json
import sys
from typing import Any

_ANSWERS: dict[str, dict[str, Any]] = {
    "initialize": {"protocolVersion": 1, "agentCapabilities": {}, "authMethods": []},
    "session/new": {"sessionId": "bench"},
    "session/prompt": {"stopReason": "end_turn"},
}
_TEXT = {"type": "text", "text": "Nothing to do."}
_SAID = {
    "method": "session/update",
    "params": {
        "sessionId": "bench",
        "update": {"sessionUpdate": "agent_message_chunk", "content": _TEXT},
    },
}


def _write(frame: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **frame}), flush=True)


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        method = request.get("method")
        if "id" not in request:
            continue
        if method == "session/prompt":
            _write(_SAID)
        if method in _ANSWERS:
            _write({"id": request["id"], "result": _ANSWERS[method]})
        else:
            error = {"code": -32601, "message": "Method not found"}
            _write({"id": request["id"], "error": error})


if __name__ == "__main__":
    main()
