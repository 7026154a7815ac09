"""What commands print: JSON, colours, a word to the person who waits."""

from __future__ import annotations

import os
import sys

import orjson


def print_json(value: object) -> None:
    """The one answer of a command, for people to read as well."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def colour_wanted() -> bool:
    """Whether to colour standard output: a terminal that knows colours, without ``NO_COLOR``."""
    dumb = os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not dumb and not os.environ.get("NO_COLOR")


def tell(text: str) -> None:
    """A word to the person who waits; nothing to a script."""
    if sys.stderr.isatty():
        print(f"raftsup: {text}", file=sys.stderr)
