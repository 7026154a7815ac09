"""What the parent tells its dispatcher: over the pipe that is the dispatcher's standard input.

The config in force, so that no dispatcher reads a file that its parent has refused; and the word
that a drain has no budget. A pipe and not a file, because a config holds keys. Only the parent
holds its other end, so what comes out of it is unpickled.
"""

from __future__ import annotations

import copyreg
import os
import pickle
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from raftsup.config.model import Config


@dataclass(frozen=True)
class NoHurry:
    """The next SIGTERM waits for what runs, however long; the one after it does not."""


Letter = Config | NoHurry

_LENGTH = struct.Struct(">Q")


def _thaw(items: Mapping[str, str]) -> MappingProxyType[str, str]:
    return MappingProxyType(dict(items))


copyreg.pickle(MappingProxyType, lambda frozen: (_thaw, (dict(frozen),)))


def written(letter: Letter) -> bytes:
    """A letter as it goes through the pipe."""
    body = pickled(letter)
    return _LENGTH.pack(len(body)) + body


def pickled(value: object) -> bytes:
    """A config, or something with one in it, as bytes that ``pickle`` makes it of again."""
    return pickle.dumps(value)


class Inbox:
    """The reading end ``descriptor`` of the pipe."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        #: Nothing more will come: the parent is gone.
        self.closed = False
        self._bytes = b""

    def letters(self) -> Iterator[Letter]:
        """Those that have come whole. Never waits."""
        self._fill()
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                return
            body, self._bytes = self._bytes[_LENGTH.size : end], self._bytes[end:]
            yield pickle.loads(body)  # noqa: S301 - from the parent, see above

    def _fill(self) -> None:
        while not self.closed:
            try:
                more = os.read(self.descriptor, 1 << 16)
            except BlockingIOError:
                return
            except OSError:
                more = b""
            self.closed = not more
            self._bytes += more
