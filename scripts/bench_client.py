"""The sender of wakes. Run as a program it is one of several that send at the same moment:
each line on standard input, ``[port, token, count, begin]``, is answered with the seconds that
each POST took, after monotonic time ``begin``.
"""

from __future__ import annotations

import json
import socket
import sys
import time
import uuid

from bench_rows import BenchError

TIMEOUT = 10.0


def wake(message: str | None = None, event: str | None = None) -> bytes:
    """A wake as the bridge sends it; of a new message and delivery unless they are given."""
    return json.dumps(
        {
            "schema": "raft-channel-wake.v1",
            "attemptId": f"attempt_{uuid.uuid4()}",
            "eventId": event or f"event_{uuid.uuid4()}",
            "messageId": message or str(uuid.uuid4()),
            "agentId": "agent_bench",
            "profile": "bench",
            "coreSessionId": "core_bench",
            "adapterInstance": "default",
            "occurredAt": "2026-11-21T08:00:00.000Z",
        }
    ).encode()


def request(port: int, token: str, body: bytes) -> bytes:
    head = (
        f"POST /wake HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-raft-bridge-token: {token}\r\n"
        "content-type: application/json\r\naccept: */*\r\nuser-agent: bench\r\n"
        f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def post(port: int, token: str, body: bytes) -> float:
    """Seconds from before the connect to the whole answer, which must be a 202."""
    data = request(port, token, body)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        sock.sendall(data)
        answer = sock.recv(65536)
        while not whole(answer):
            piece = sock.recv(65536)
            if not piece:
                break
            answer += piece
        took = time.monotonic() - began
        # The server's close is not counted, but the next POST is not to meet it either.
        while sock.recv(65536):
            pass
    check(answer)
    return took


def whole(answer: bytes) -> bool:
    """Whether all of the body has come that its head promises."""
    head, gap, body = answer.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return bool(gap) and len(body) >= int(line.split(b":")[1])
    return False


def check(answer: bytes) -> None:
    if not answer.startswith(b"HTTP/1.1 202 "):
        raise BenchError(f"a wake was answered with {answer[:60]!r}, not with 202")


def main() -> None:
    for line in sys.stdin:
        port, token, count, begin = json.loads(line)
        time.sleep(max(0.0, begin - time.monotonic()))
        took = [post(port, token, wake()) for _ in range(count)]
        print(json.dumps({"took": took, "ended": time.monotonic()}), flush=True)


if __name__ == "__main__":
    main()
