"""JSON-RPC over an agent's standard input and output: one JSON object a line (ACP, "Transports").

``Wire`` is what the SDK's ``Connection`` sends and receives through. It lets only well-formed
messages in: the SDK logs what it stumbles over, with its content.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import orjson

#: The longest line taken, in bytes. Agents send whole files as one update.
MOST_LINE = 16 << 20
#: Lines that are no messages before the agent is given up. Some print a banner first.
MOST_JUNK = 100
#: Bytes held back for an agent that does not read.
MOST_UNREAD = 1 << 20


class Pipe(Protocol):
    """The part of ``asyncio.WriteTransport`` that is used."""

    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int: ...

    def close(self) -> None: ...


class Wire:
    def __init__(self, reader: asyncio.StreamReader, pipe: Pipe) -> None:
        self._reader, self._pipe = reader, pipe
        #: Lines of standard output that were no messages.
        self.junk = 0
        #: What the agent did wrong, as the end of a sentence; "" if nothing.
        self.trouble = ""
        #: Done when nothing more will be received.
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def send(self, message: dict[str, Any]) -> None:
        """Send, without waiting. An agent that is gone is told by the end of what it says."""
        self._pipe.write(orjson.dumps(message) + b"\n")
        if self._pipe.get_write_buffer_size() > MOST_UNREAD:
            self._give_up("does not read its standard input")

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None when there will be none."""
        while not self.ended.done():
            line = await self._line()
            if line is None:
                break
            if not line.strip():
                continue
            if (message := message_in(line)) is not None:
                return message
            self.junk += 1
            if self.junk > MOST_JUNK:
                self._give_up(
                    f"wrote {self.junk} lines to standard output that are no JSON-RPC: that is"
                    " for the protocol alone"
                )
        self._end()
        return None

    async def close(self) -> None:
        """Close the agent's standard input."""
        self._pipe.close()
        self._end()

    async def _line(self) -> bytes | None:
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as rest:
            return rest.partial or None
        except asyncio.LimitOverrunError:
            self._give_up(f"wrote a line of more than {MOST_LINE} bytes to standard output")
            return None

    def _give_up(self, why: str) -> None:
        self.trouble = self.trouble or why
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def message_in(line: bytes) -> dict[str, Any] | None:
    """The JSON-RPC 2.0 message in ``line``; None if it holds none."""
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(message, dict):
        return None
    if not isinstance(message.get("id"), str | int | None):
        return None
    if "method" in message:
        return message if isinstance(message["method"], str) else None
    if "error" in message:
        error = message["error"]
        told = isinstance(error, dict) and isinstance(error.get("code"), int)
        return message if told and isinstance(error.get("message"), str) else None
    return message if "result" in message and "id" in message else None
