"""The wake-hint stream: server-sent events off a raw socket, a chunk a read.

Source: RAFT_PROTOCOL, "What it says, and when" [commands/agent/bridge.ts]: a chunk without a whole
event (``: ka``, half a frame) is a pass without hints; what is half read stays for the next one.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Container
from dataclasses import dataclass, field
from typing import NamedTuple


class StreamLost(Exception):
    """The stream is of no more use; the message is the CLI's."""


class Event(NamedTuple):
    name: str
    data: str
    id: str = ""


@dataclass
class Parser:
    """Server-sent events, fed in pieces."""

    _rest: bytes = b""
    _fields: dict[str, str] = field(default_factory=dict)

    def feed(self, data: bytes) -> None:
        self._rest += data

    def next(self) -> Event | None:
        """The next whole event that has data; None where more must come first."""
        while (end := self._rest.find(b"\n")) >= 0:
            line = self._rest[:end].removesuffix(b"\r").decode("utf-8", "replace")
            self._rest = self._rest[end + 1 :]
            if line == "":
                got, self._fields = self._fields, {}
                if got.get("data"):
                    return Event(got.get("event", ""), got["data"], got.get("id", ""))
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if name == "data" and "data" in self._fields:
                    value = f"{self._fields['data']}\n{value}"
                if name in ("event", "id", "data"):
                    self._fields[name] = value
        return None


class HintStream:
    def __init__(self, sock: socket.socket, head_rest: bytes) -> None:
        self._sock, self._parser = sock, Parser(head_rest)
        self._sock.settimeout(None)
        self._fresh = bool(head_rest)

    def read(self, idle: float, names: Container[str]) -> Event | None:
        """The next event of one of these names; None for a chunk that completes none. Waits
        ``idle`` seconds for one. Raises ``StreamLost``.
        """
        fresh, self._fresh = self._fresh, False
        event = self._next(names)
        if event or fresh:  # a chunk that came with the head is one too
            return event
        if not select.select([self._sock], [], [], idle)[0]:
            raise StreamLost(f"wake-hint stream idle timeout after {idle * 1000:g}ms")
        try:
            data = self._sock.recv(65536)
        except OSError:
            raise StreamLost("terminated") from None
        if not data:
            raise StreamLost("wake-hint stream ended")
        self._parser.feed(data)
        return self._next(names)

    def _next(self, names: Container[str]) -> Event | None:
        while (event := self._parser.next()) and event.name not in names:
            pass
        return event

    def close(self) -> None:
        self._sock.close()
