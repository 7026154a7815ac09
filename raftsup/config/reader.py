"""From a file to a tree of plain values: parsed once, variables filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import json5

from raftsup.config.errors import ConfigError, ErrorCollector, ExternalText, Location, Problem
from raftsup.config.validators import INVALID

#: The parser is slow (about 80 kB a second): what is larger is some other file.
MAX_BYTES = 1 << 20

_SYNTAX_ERROR = re.compile(r"<string>:(\d+) (.*) at column (\d+)", re.DOTALL)
_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSET = re.compile(r"the environment variable (\S+) is (?:not set|empty)")


class _Object(dict[str, Any]):
    """An object as it was written, with the keys that were written more than once."""

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        super().__init__()
        self.twice: set[str] = set()
        for key, value in pairs:
            if key in self:
                self.twice.add(key)
            self[key] = value


def read(path: Path) -> object:
    """The tree in a JSON5 file. Raises ``ConfigError``; ``FileNotFoundError`` passes."""
    return parse(text_in(path), path)


def text_in(path: Path) -> str:
    """What stands in a file, its line breaks too. Raises as ``read`` does."""
    try:
        if path.exists() and not path.is_file():
            # A FIFO that nobody writes to would be waited for.
            raise _refused(path, "is no regular file", "name a config file of raftsup")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}",
                       "make it a file that this user may read") from error  # fmt: skip
    if len(raw) > MAX_BYTES:
        raise _refused(path, f"is larger than {MAX_BYTES} bytes", "name a config file of raftsup")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise _refused(f"{path}:{line}:{column}", "is not UTF-8", "save it as UTF-8") from None


def parse(text: str, path: Path) -> object:
    """The tree in a JSON5 text. Raises ``ConfigError`` with line and column."""
    try:
        # The hook notes duplicate keys itself: json5's own refusal would stop at the first
        # and know neither line nor path.
        return json5.loads(text, object_pairs_hook=_Object)
    except RecursionError:
        raise _refused(path, "is nested too deeply",
                       "look for brackets that do not belong there") from None  # fmt: skip
    except ValueError as error:
        found = _SYNTAX_ERROR.fullmatch(str(error))
        if found is None:
            # No text, or a number of thousands of digits.
            raise _refused(path, f"is not JSON5: {error}", "write at least {}") from None
        where = f"{path}:{found[1]}:{found[3]}"
        # It names the character that it did not expect, also where that is a line break.
        what = "".join(c if c.isprintable() else repr(c)[1:-1] for c in found[2])
        raise _refused(where, f"is not JSON5: {what}", _syntax_hint(what)) from None


def _syntax_hint(what: str) -> str:
    if "end of input" in what:
        return "close what is still open: a bracket, a brace or a quote"
    return "look there and just before it for a missing comma, quote, brace or bracket"


def _refused(where: object, what: str, hint: str) -> ConfigError:
    return ConfigError([Problem(str(where), what, hint)])


def resolve(
    value: object, environ: Mapping[str, str], place: Location, errors: ErrorCollector
) -> Any:
    """A copy with ``${VAR}`` filled in from ``environ``; duplicate keys are reported.

    A text with an unset or empty variable becomes ``INVALID``: its problem is reported here.
    """
    if isinstance(value, dict):
        for key in sorted(getattr(value, "twice", ())):
            errors.add(place.at(key), "this key is written twice", "keep one of them")
        return {k: resolve(v, environ, place.at(k), errors) for k, v in value.items()}
    if isinstance(value, list):
        return [resolve(v, environ, place.at(i), errors) for i, v in enumerate(value)]
    if isinstance(value, str):
        return _fill_in(value, environ, place, errors)
    return value


def _fill_in(text: str, environ: Mapping[str, str], place: Location, errors: ErrorCollector) -> Any:
    parts: list[str] = []
    start, from_outside, holds = 0, False, True
    for match in _VARIABLE.finditer(text):
        parts.append(text[start : match.start()])
        start = match.end()
        if match[0] == "$${":
            parts.append("${")
        elif not match[2] or not _NAME.fullmatch(match[1]):
            errors.add(place, "${ does not begin a variable",
                       "write ${NAME}, or $${ for a literal ${")  # fmt: skip
            holds = False
        elif not (filling := environ.get(match[1])):
            state = "empty" if match[1] in environ else "not set"
            errors.add(place, f"the environment variable {match[1]} is {state}",
                       f"set {match[1]} where raftsup is started, or write the value here"
                       " (and $${ for a literal ${)")  # fmt: skip
            holds = False
        else:
            parts.append(filling)
            from_outside = True
    filled = "".join([*parts, text[start:]])
    if not holds:
        return INVALID
    return ExternalText(filled, text) if from_outside else filled


def unset_variable(problem: Problem) -> str | None:
    """The variable that ``problem`` tells the lack of; None if it is about something else."""
    found = _UNSET.fullmatch(problem.what)
    return found[1] if found else None
