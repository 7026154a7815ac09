"""Showing a status to a person: one screen, a reason beside whatever is not well."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

_COLOURS = {
    "ready": "32",
    "running": "32",
    "starting": "33",
    "degraded": "33",
    "draining": "33",
    "disabled": "2",
}
_RED = "31"
_HEAD = ("ACCOUNT", "STATE", "BRIDGE", "RESTARTS", "WAKES", "DUPL", "REJ", "QUEUED", "RUN", "DONE",
         "FAILED")  # fmt: skip


def screen(status: dict[str, Any], *, colour: bool, width: int = 100) -> str:
    """The status as text, ending in a newline."""
    supervisor, dispatcher = status["supervisor"], status["dispatcher"]
    rows = [_row(account) for account in status["accounts"]]
    widths = [max(len(row[i]) for row in [_HEAD, *rows]) for i in range(len(_HEAD))]
    lines = [
        f"raftsup {status['version']}  {status['stateDir']}",
        _program("supervisor", supervisor, colour),
        _program("dispatcher", dispatcher, colour),
        "",
        _line(_HEAD, widths),
    ]
    for account, row in zip(status["accounts"], rows, strict=True):
        line = _line(row, widths)
        if colour:
            state = account["state"]
            line = line.replace(f" {state} ", f" {_paint(state)} ", 1)
        lines.append(line)
        if account["reason"]:
            indent = "    "
            lines += textwrap.wrap(
                account["reason"],
                max(width, 60),
                initial_indent=indent,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
    if supervisor["pid"] is None and not any(a["endpoint"]["pid"] for a in status["accounts"]):
        lines += ["", "no host runs here; start it with `raftsup up`"]
    return "\n".join(lines) + "\n"


def _program(name: str, program: dict[str, Any], colour: bool) -> str:
    state = program["state"]
    pid = f"  pid {program['pid']}" if program["pid"] else ""
    return f"{name}  {_paint(state) if colour else state}{pid}"


def _row(account: dict[str, Any]) -> tuple[str, ...]:
    bridge, wakes, turns = account["bridge"], account["wakes"], account["turns"]
    numbers = (
        bridge["restarts"],
        wakes["accepted"],
        wakes["duplicates"],
        wakes["rejected"],
        turns["queued"],
        turns["running"],
        turns["done"],
        turns["failed"],
    )
    return (account["account"], account["state"], bridge["state"], *map(str, numbers))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    words = [
        word.ljust(width) if i < 3 else word.rjust(width)
        for i, (word, width) in enumerate(zip(row, widths, strict=True))
    ]
    # Eighty columns hold the numbers and an account's name of twelve letters.
    return ("  ".join(words[:3]) + " " + " ".join(words[3:])).rstrip()


def _paint(state: str) -> str:
    return f"\x1b[{_COLOURS.get(state, _RED)}m{state}\x1b[0m"
