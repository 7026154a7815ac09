"""Text for people: safe for a terminal, cut, wrapped, painted; and times, each with its zone."""

from __future__ import annotations

import textwrap
import time

GREEN, YELLOW, RED, FAINT = "32", "33", "31", "2"


def plain(text: str, most: int | None = None) -> str:
    """Without what would command the terminal or break the line: a blank in its place. ``most``:
    runs of blanks are one, and what is longer than so many characters is cut.
    """
    shown = "".join(c if c.isprintable() else " " for c in text)
    if most is None:
        return shown
    shown = " ".join(shown.split())
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def escaped(text: str, keep: str = "\t") -> str:
    """The same with nothing lost: what is not printable, but for ``keep``, as ``\\x1b``."""
    if text.isprintable():
        return text
    kept = (c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)
    return "".join(kept)


def painted(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


def wrapped(text: str, width: int, first: str = "", rest: str | None = None) -> list[str]:
    """Lines of at most ``width`` characters. ``first`` and ``rest`` begin them; ``rest`` None: as
    the first. A word that is longer stays whole: a path or a command that is cut in two can be
    neither read nor copied.
    """
    return textwrap.wrap(
        plain(text),
        width,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def share(some: int, whole: int, noun: str) -> str:
    """``1 of 1 account``, ``0 of 3 accounts``."""
    return f"{some} of {whole} {noun}{'' if whole == 1 else 's'}"


def moment(at: float, *, date: bool = False, utc: bool = False) -> str:
    """A time of day (Unix seconds), with its zone; ``date``: and its day."""
    shape = "%Y-%m-%d %H:%M:%S %Z" if date else "%H:%M:%S %Z"
    return time.strftime(shape, time.gmtime(at) if utc else time.localtime(at))


def stamp(at: float) -> str:
    """UTC in milliseconds, as lines of logs and JSON have it: ``2026-11-27T16:24:47.325Z``."""
    whole, milliseconds = divmod(round(at * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"
