"""What the parent tells its dispatcher: over the pipe that is the dispatcher's standard input.

The config in force, so that no dispatcher reads a file that its parent has refused; and the word
that a drain has no deadline. A pipe and not a file, because a config holds keys. Each is one line
of JSON: a config as ``config.document`` has it, or ``{"version": 1, "drain": "without deadline"}``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from raftsup.config import document
from raftsup.config.model import Config
from raftsup.log import say

LOG = logging.getLogger("raftsup.dispatcher")


@dataclass(frozen=True)
class DrainWithoutDeadline:
    """The next SIGTERM waits for what runs, however long; the one after it does not."""


Letter = Config | DrainWithoutDeadline
_DRAIN = orjson.dumps({"version": document.VERSION, "drain": "without deadline"})


def written(letter: Letter) -> bytes:
    """A letter as it goes through the pipe."""
    body = _DRAIN if isinstance(letter, DrainWithoutDeadline) else document.dump(letter)
    return body + b"\n"


class ConfigReceiver:
    """The reading end ``descriptor`` of the pipe."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        #: Nothing more will come: the parent is gone.
        self.closed = False
        self._bytes = b""

    def letters(self) -> Iterator[Letter]:
        """Those that have come whole. Never waits. One that cannot be read is logged."""
        self._fill()
        *lines, self._bytes = self._bytes.split(b"\n")
        for line in lines:
            if line == _DRAIN:
                yield DrainWithoutDeadline()
                continue
            try:
                yield document.load(line)
            except ValueError as error:
                LOG.error(say("config.unreadable", reason=str(error)))

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
