"""The wake-hint stream: server-sent events off a raw socket."""

from __future__ import annotations

import select
import time
from typing import NamedTuple

from raftsup.sim import wire


class StreamLost(Exception):
    """The server closed the stream."""


class Event(NamedTuple):
    name: str
    data: str


def split_events(buffer: bytes) -> tuple[list[Event], bytes]:
    """The whole events of ``buffer`` and what is left of it. Comments make no event."""
    *blocks, rest = buffer.split(b"\n\n")
    events = []
    for block in blocks:
        name, data = "message", []
        for line in block.decode("utf-8", "replace").split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        if data:
            events.append(Event(name, "\n".join(data)))
    return events, rest


class HintStream:
    def __init__(self, opened: wire.Stream) -> None:
        self._sock = opened.sock
        self._sock.settimeout(None)
        self._buffer = opened.head_rest
        #: When the last byte came, on the monotonic clock.
        self.heard_at = time.monotonic()

    def read(self, wait: float) -> list[Event]:
        """What came within ``wait`` seconds, at once when something is there.

        Raises ``StreamLost``.
        """
        if b"\n\n" not in self._buffer:
            if not select.select([self._sock], [], [], max(0.0, wait))[0]:
                return []
            try:
                more = self._sock.recv(65536)
            except OSError as error:
                raise StreamLost(error.strerror or "connection lost") from error
            if not more:
                raise StreamLost("the server closed the stream")
            self.heard_at = time.monotonic()
            self._buffer += more
        events, self._buffer = split_events(self._buffer)
        return events

    def close(self) -> None:
        self._sock.close()
