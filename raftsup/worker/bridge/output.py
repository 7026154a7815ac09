"""What a bridge says: lines out of its two streams, however they come in pieces."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

#: Of what it says on standard error, so much is kept for ``status``, and logged, a line.
_LAST_LINES, _LINE = 5, 500


class Ears:
    """Lines out of the bridge's two streams; the last of its diagnostics are kept."""

    def __init__(self, event: Callable[[bytes], None], diagnostic: Callable[[str], None]) -> None:
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self._event, self._diagnostic = event, diagnostic
        self._out, self._err = bytearray(), bytearray()

    def out(self, data: bytes) -> bool:
        for line in _lines(self._out, data):
            self._event(line)
        return bool(data)

    def err(self, data: bytes) -> bool:
        for line in _lines(self._err, data):
            text = line[:_LINE].decode(errors="replace")
            self.last.append(text)
            self._diagnostic(text)
        return bool(data)


def _lines(buffer: bytearray, data: bytes) -> list[bytes]:
    """Whole lines that ``data`` completes; at the end of the stream, the rest. A line without
    end is dropped at 64 KiB: garbage must not fill memory.
    """
    buffer += data
    *lines, rest = bytes(buffer).split(b"\n")
    buffer[:] = b"" if not data or len(rest) > 65536 else rest
    if not data and rest:
        lines.append(rest)
    return [line for line in lines if line.strip()]
