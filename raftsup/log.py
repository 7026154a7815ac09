"""One log line a record: time, level, program, ``action=`` and its fields (logfmt).

Lines go to standard error; the parent captures them into a bounded file for each program.
"""

from __future__ import annotations

import json
import logging
import sys
import time


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


class _Lines(logging.Formatter):
    def __init__(self, program: str) -> None:
        super().__init__("%(asctime)s %(levelname)s " + program + " %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{stamp}.{int(record.msecs):03d}Z"


def start(program: str, level: int = logging.INFO) -> logging.Logger:
    """Send the records of ``raftsup`` to standard error under ``program``'s name."""
    logger = logging.getLogger("raftsup")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(program))
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    return logger
