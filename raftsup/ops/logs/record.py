"""Log records out of lines, and what is shown of them. Pure; ``merged`` reads the files.

Two kinds of lines begin a record: those of our programs (``raftsup/log.py``) and those of the
parent, which supervisor writes (``loggers.py``, 4.3.0: local time, "2026-11-21 15:31:40,909 INFO
spawned: …"). Every other line, a traceback's mostly, belongs to the record before it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

from raftsup.config.validators import parse_duration
from raftsup.terminal import stamp

#: From the quietest to the gravest.
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_OURS = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (DEBUG|INFO|WARNING|ERROR|CRITICAL) (\S+) (.*)"
)
_PARENTS = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) (BLAT|TRAC|DEBG|INFO|WARN|ERRO|CRIT) (.*)"
)
_PARENTS_LEVELS = {
    "BLAT": "DEBUG", "TRAC": "DEBUG", "DEBG": "DEBUG", "INFO": "INFO", "WARN": "WARNING",
    "ERRO": "ERROR", "CRIT": "CRITICAL",
}  # fmt: skip
_FIELD = re.compile(r'([^ "=]+)=("(?:[^"\\]|\\.)*"|[^ "=]+)(?: |$)')
#: Of records of one moment, the cause is shown before its effect.
_PARENTS_LOGS = ("supervisord", "stock-supervisord")
_RANKS = {**dict.fromkeys(_PARENTS_LOGS, 0), "up": 0, "dispatcher": 2}
_WORKERS_RANK = 1
_WORKERS = "accounts-"


@dataclass(frozen=True, order=True)
class Source:
    """The program whose log a record stands in, by the name of its file without ``.log``."""

    rank: int
    name: str

    @property
    def account(self) -> str | None:
        """Whose worker it is, if it is one."""
        return self.name.removeprefix(_WORKERS) if self.name.startswith(_WORKERS) else None

    @property
    def program(self) -> str:
        return self.name.removeprefix(_WORKERS)


def source_of(name: str) -> Source:
    """Of a log file's name: ``accounts-support.log`` is the worker of ``support``."""
    stem = name.removesuffix(".log")
    return Source(_RANKS.get(stem, _WORKERS_RANK), stem)


@dataclass(frozen=True)
class Record:
    #: UTC, as our lines have it: "2026-11-21T15:31:40.909Z". Compares as time does.
    at: str
    level: str
    source: Source
    #: What stands behind the program's name; None where the record's beginning is not at hand.
    message: str | None
    #: Lines that are no record of their own.
    more: tuple[str, ...] = ()
    #: The message of the record that ``more`` belongs to, if it was handed out before.
    belongs_to: str = field(default="", repr=False)

    @cached_property
    def fields(self) -> dict[str, str]:
        """``action`` and the others, in their order; none if the message is free text."""
        return fields_of(self.message if self.message is not None else self.belongs_to)

    @property
    def key(self) -> tuple[str, Source]:
        return (self.at, self.source)


def fields_of(message: str) -> dict[str, str]:
    """What ``log.say`` made the message of; none if it did not make it."""
    found, end = {}, 0
    while end < len(message):
        match = _FIELD.match(message, end)
        if match is None:
            return {}
        key, value = match.groups()
        try:
            found[key] = json.loads(value, strict=False) if value[0] == '"' else value
        except json.JSONDecodeError:
            return {}
        end = match.end()
    return found


def head_of(line: str, source: Source) -> Record | None:
    """The record that a line begins; None if it begins none."""
    if match := _OURS.fullmatch(line):
        at, level, _, message = match.groups()
        return Record(at, level, source, message)
    if source.account is None and (match := _PARENTS.fullmatch(line)):
        second, milliseconds, level, message = match.groups()
        try:
            moment = time.mktime(time.strptime(second, "%Y-%m-%d %H:%M:%S"))
        except (ValueError, OverflowError):
            return None
        at = f"{stamp(moment)[:-4]}{milliseconds}Z"
        return Record(at, _PARENTS_LEVELS[level], source, message)
    return None


def since_of(text: str, now: float) -> str | None:
    """The stamp of ``10m`` before ``now``, or of a time in ISO 8601, where one without a zone is
    UTC as all that is shown; None if it is neither.
    """
    ago = parse_duration(text)
    if ago is not None:
        return stamp(max(0.0, now - ago))
    try:
        moment = datetime.fromisoformat(text.strip())
        return stamp(
            max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        )
    except (ValueError, OverflowError):
        return None


def backwards(lines: Iterable[str], source: Source, oldest: str) -> Iterator[Record]:
    """The records of ``lines``, which come newest first. ``oldest``: the time of lines that stand
    before every record, where there is no record at all.
    """
    more: list[str] = []
    at, level = oldest, "INFO"
    for line in lines:
        record = head_of(line, source)
        if record is None:
            more.append(line)
            continue
        yield replace(record, more=tuple(reversed(more)))
        more, at = [], record.at
    if more:
        yield Record(at, level, source, None, tuple(reversed(more)))


def forwards(lines: Iterable[str], source: Source, last: Record | None, now: str) -> list[Record]:
    """The records of ``lines``, oldest first, which follow ``last``; ``now`` is the time of lines
    that follow none.
    """
    found: list[Record] = []
    more: list[str] = []

    def close() -> None:
        if not more:
            return
        if found:
            found[-1] = replace(found[-1], more=tuple(more))
        else:
            before = last or Record(now, "INFO", source, "")
            told = before.message if before.message is not None else before.belongs_to
            found.append(replace(before, message=None, more=tuple(more), belongs_to=told))
        more.clear()

    for line in lines:
        record = head_of(line, source)
        if record is None:
            more.append(line)
            continue
        close()
        found.append(record)
    close()
    return found


@dataclass(frozen=True)
class Wanted:
    """Which records are shown."""

    account: str | None = None
    turn: int | None = None
    #: A time as ``Record.at`` has it.
    since: str = ""
    level: str = "DEBUG"

    def __call__(self, record: Record) -> bool:
        return (
            record.at >= self.since
            and LEVELS.index(record.level) >= LEVELS.index(self.level)
            and (self.turn is None or record.fields.get("turn") == str(self.turn))
            and (self.account is None or _is_about(record, self.account))
        )


def _is_about(record: Record, account: str) -> bool:
    if record.source.account is not None:
        return record.source.account == account
    named = record.fields.get("account", record.fields.get("lane"))
    if named is not None:
        return named == account
    # The parent's own words for a worker (supervisor 4.3.0, process.py, and child.py here).
    words = rf"(?:accounts:|: '?|waiting for |killing '){re.escape(account)}(?![\w.-])"
    return record.source.name in _PARENTS_LOGS and bool(re.search(words, record.message or ""))
