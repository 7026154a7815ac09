"""What commands print: JSON, colours, a word to the person who waits."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import orjson

from raftsup.dispatcher.control_client import DispatcherDown
from raftsup.ops.command_hints import addressed
from raftsup.paths import StateDir
from raftsup.proc import lockfile

#: What chose the instance, as ``ops.addressed`` takes it. One command line is one process.
_chosen: tuple[Sequence[str], Mapping[str, str]] = ([], {})


def about(words: Sequence[str], variables: Mapping[str, str]) -> None:
    """From here on, what is suggested is about this instance."""
    global _chosen
    _chosen = (words, variables)


def here(text: str) -> str:
    """Sentences, their commands as they must be typed for the chosen instance."""
    return addressed(text, *_chosen, lines=False)


def command(line: str) -> str:
    """A line that is to be typed, for the chosen instance."""
    return addressed(line, *_chosen)


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
        print(f"raftsup: {here(text)}", file=sys.stderr)


def no_dispatcher(state: StateDir, error: DispatcherDown) -> int:
    """Say that nobody answers at the dispatcher's socket; the code to end with."""
    runs = lockfile.holder(state.lock) is not None
    what = "`raftsup status` tells why" if runs else "`raftsup up` starts a host"
    return complain(f"no dispatcher answers ({error}); {what}", error.exit_code)


def complain(text: str, code: int) -> int:
    """Say what is wrong; ``code``, for the command to end with."""
    print(f"raftsup: {here(text)}", file=sys.stderr)
    return code
