"""One log line a record: time, level, program, ``action=`` and its fields (logfmt).

Lines go to standard error; the parent captures them into a bounded file for each program. What
a program says again and again is counted, so that it does not push everything else out of it.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass, field
from typing import NamedTuple, TextIO

from raftsup.terminal import stamp

#: Each of these is a step of a wake's way: none is ever summarised.
_ALWAYS = ("action=turn.", "action=wake.")


def say(action: str, **fields: object) -> str:
    """The text of a record: ``action=turn.started turn=17 account=support``.

    Never give it message content or a secret. None is left out.
    """
    words = [f"action={action}"]
    words += [f"{key}={_value(value)}" for key, value in fields.items() if value is not None]
    return " ".join(words)


def _value(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    plain = text and text.isprintable() and not set(text) & set(' "=')
    # Escaped wherever it is not printable: no record can break its line or move a terminal.
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())


class Said(NamedTuple):
    level: int
    text: str


@dataclass
class Repeats:
    """Decides what is written of records that repeat.

    A record is written, and the same one again within ``window`` seconds is counted. The counts
    are told when something is said that is new (what repeats has changed, or ended), and each
    when its window is over, at the next record of any kind. At most ``most`` are remembered.
    """

    window: float = 60.0
    most: int = 64
    #: By record: when it was last written, in seconds, and how often it came since.
    _heard: dict[Said, tuple[float, int]] = field(default_factory=dict)

    def hear(self, record: Said, now: float) -> list[tuple[Said, int]]:
        """What to write now, in this order: a record as it is (0), or how often it came again
        since it was written last. ``now`` never goes back.
        """
        known = record in self._heard
        if known:
            since, count = self._heard[record]
            self._heard[record] = (since, count + 1)
            told = self._tell(now, self.window)
        else:
            told = self._tell(now, 0.0) + [(record, 0)]
            if len(self._heard) >= self.most:
                del self._heard[next(iter(self._heard))]
            self._heard[record] = (now, 0)
        return told

    def tell(self, now: float) -> list[tuple[Said, int]]:
        """The counts whose window is over."""
        return self._tell(now, self.window)

    def _tell(self, now: float, age: float) -> list[tuple[Said, int]]:
        told = []
        for record, (since, count) in list(self._heard.items()):
            if count and now - since >= age:
                told.append((record, count))
                self._heard[record] = (now, 0)
            elif now - since >= self.window:
                del self._heard[record]
        return told


class _Handler(logging.StreamHandler[TextIO]):
    """Standard error, with repeats summarised: ``action=… repeated=119``."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._repeats = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        text, now = record.getMessage(), time.monotonic()
        if text.startswith(_ALWAYS) or record.exc_info:
            for said, count in self._repeats.tell(now):
                self._summarise(record, said, count)
            super().emit(record)
            return
        for said, count in self._repeats.hear(Said(record.levelno, text), now):
            if count:
                self._summarise(record, said, count)
            else:
                super().emit(record)

    def _summarise(self, occasion: logging.LogRecord, said: Said, count: int) -> None:
        fields = {
            "msg": f"{said.text} repeated={count}",
            "levelno": said.level,
            "levelname": logging.getLevelName(said.level),
            "created": occasion.created,
            "msecs": occasion.msecs,
        }
        super().emit(logging.makeLogRecord(fields))


class _Lines(logging.Formatter):
    def __init__(self, program: str) -> None:
        super().__init__("%(asctime)s %(levelname)s " + program + " %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return stamp(record.created)


def start(program: str, level: int = logging.INFO) -> logging.Logger:
    """Send the records of ``raftsup`` to standard error under ``program``'s name."""
    logger = logging.getLogger("raftsup")
    handler = _Handler()
    handler.setFormatter(_Lines(program))
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    return logger
