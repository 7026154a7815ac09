"""Log records as they are shown: lines for people, objects for programs."""

from __future__ import annotations

import zlib

from raftsup.ops.logs.record import Record
from raftsup.terminal import FAINT, RED, YELLOW, escaped, painted

_LEVELS = {"WARNING": YELLOW, "ERROR": RED, "CRITICAL": "1;31"}
_ACCOUNTS = ("36", "35", "32", "34", "96", "95", "92", "94")
_PROGRAMS = {"dispatcher": "1"}


def as_json(record: Record) -> dict[str, object]:
    """A record as one object: what it says, parsed, and the lines that belong to it."""
    shown: dict[str, object] = {
        "time": record.at,
        "level": record.level,
        "program": record.source.program,
        **({"account": record.source.account} if record.source.account else {}),
    }
    if record.fields:
        # A field cannot take the place of what every record has.
        shown |= {key: value for key, value in record.fields.items() if key not in shown}
    elif record.message is not None:
        shown["message"] = record.message
    if record.more:
        shown["more"] = list(record.more)
    return shown


def as_text(record: Record, *, colour: bool) -> str:
    """A record as lines, ending in a newline: ours as they stand in the file."""
    program, level = record.source.program, record.level
    if colour:
        program, level = painted(program, _colour(record)), painted(level, _level(record))
    lines = [escaped(line) for line in record.more]
    if record.message is not None:
        lines.insert(0, f"{record.at} {level} {program} {escaped(record.message)}")
    return "".join(f"{line}\n" for line in lines)


def _colour(record: Record) -> str:
    # A dispatcher's line about an account has that account's colour.
    account = record.source.account or record.fields.get("account")
    if account is None:
        return _PROGRAMS.get(record.source.program, FAINT)
    return _ACCOUNTS[zlib.crc32(account.encode()) % len(_ACCOUNTS)]


def _level(record: Record) -> str:
    return _LEVELS.get(record.level, FAINT)
