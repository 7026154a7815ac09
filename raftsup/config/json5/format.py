"""A value as JSON5 text, in the style of the text that it goes into."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
#: Names that a reader may take for something else than a key.
_WORDS = frozenset({"null", "true", "false", "Infinity", "NaN"})
#: The longest line that a list or an object is written on.
_WIDTH = 96


@dataclass(frozen=True)
class Style:
    newline: str = "\n"
    #: One step of indentation.
    unit: str = "  "
    #: Keys stand in quotes, as in JSON.
    quoted: bool = False
    #: A comma follows the last member, too.
    trailing: bool = True

    def key(self, key: str) -> str:
        bare = _NAME.fullmatch(key) and key not in _WORDS and not self.quoted
        return key if bare else _text(key)


def formatted(
    value: object, style: Style, indent: str = "", *, room: int | None = 0, spread: int = 0
) -> str:
    """``value`` as it stands behind ``indent`` and ``room`` characters of its line.

    ``room`` None: all on one line. ``spread``: so many levels of objects are written over
    several lines, however short.
    """
    line = _one_line(value, style)
    holds = isinstance(value, Mapping | list | tuple) and bool(value)
    fits = room is None or len(indent) + room + len(line) + 1 <= _WIDTH
    if not holds or (fits and not spread):
        return line
    inner, comma = indent + style.unit, "," if style.trailing else ""
    if isinstance(value, Mapping):
        marks = "{}"
        parts = [
            f"{style.key(k)}: "
            + formatted(v, style, inner, room=len(style.key(k)) + 2, spread=max(spread - 1, 0))
            for k, v in value.items()
        ]
    else:
        assert isinstance(value, list | tuple)
        marks = "[]"
        parts = [formatted(v, style, inner) for v in value]
    lines = f",{style.newline}{inner}".join(parts)
    return f"{marks[0]}{style.newline}{inner}{lines}{comma}{style.newline}{indent}{marks[1]}"


def _one_line(value: object, style: Style) -> str:
    if isinstance(value, Mapping):
        parts = [f"{style.key(key)}: {_one_line(held, style)}" for key, held in value.items()]
        return f"{{ {', '.join(parts)} }}" if parts else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_one_line(held, style) for held in value)}]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return json.dumps(value)


def _text(text: str) -> str:
    """In double quotes; what cannot be seen is escaped."""
    return '"' + "".join(_ESCAPED.get(c) or _character(c) for c in text) + '"'


_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _character(character: str) -> str:
    # Beyond 16 bits an escape would be a pair of surrogates, which the parser does not join.
    shown = character.isprintable() or ord(character) > 0xFFFF
    return character if shown else f"\\u{ord(character):04x}"
