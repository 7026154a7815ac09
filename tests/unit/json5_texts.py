"""JSON5 texts for property tests: written every way that the format allows, with comments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

#: Keys that a test may meet again: few, so that edits hit them.
KEYS = ["a", "b", "$c", "with space", "ключ", "ß\u200dx", 'q"', "1"]
_BARE = {"a", "b", "$c", "ключ", "ß\u200dx"}


@dataclass(frozen=True)
class Written:
    """A document's text, what it means, and the comments that stand in it."""

    text: str
    tree: Any
    comments: tuple[str, ...]


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=True), st.text(max_size=8),
)  # fmt: skip
TREES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def documents(draw: st.DrawFn) -> Written:
    """A document whose root is an object."""
    writer = _Writer(draw)
    tree = draw(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=4))
    text = draw(st.sampled_from(["", "\ufeff", "\n"])) + writer.space() + writer.value(tree)
    return Written(text + writer.space(), tree, tuple(writer.comments))


class _Writer:
    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.newline = draw(st.sampled_from(["\n", "\r\n", "\n", "\u2028"]))
        self.comments: list[str] = []

    def space(self) -> str:
        parts = self.draw(st.lists(st.sampled_from(" \t\v\xa0\u3000n/*"), max_size=4))
        return "".join(self._part(part) for part in parts)

    def _part(self, part: str) -> str:
        if part == "n":
            return self.newline + "  "
        if part not in "/*":
            return part
        mark = f"c{len(self.comments)}c"
        inside = self.draw(st.sampled_from(["", '"', "'", "{", "a: 1,", "}", "\\", "* /"]))
        self.comments.append(mark)
        if part == "/":
            return f"// {mark}{inside} /*{self.newline}"
        inner = self.draw(st.sampled_from(["", self.newline]))
        return f"/* {mark} // {inside}{inner}*/"

    def value(self, value: Any) -> str:
        if isinstance(value, dict):
            return "{" + self._parts([self._member(k, v) for k, v in value.items()]) + "}"
        if isinstance(value, list):
            return "[" + self._parts([self.value(v) for v in value]) + "]"
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            return "Infinity" if value > 0 else "-Infinity"
        plain = json.dumps(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and plain[0] != "-":
            sign = self.draw(st.sampled_from(["", "+"]))
            if isinstance(value, int) and self.draw(st.booleans()):
                return f"{sign}0X{value:x}"
            return sign + plain
        return plain

    def _member(self, key: str, value: Any) -> str:
        bare = key in _BARE and self.draw(st.booleans())
        shown = key if bare else self.text(key)
        return shown + self.space() + ":" + self.space() + self.value(value)

    def _parts(self, parts: list[str]) -> str:
        out = self.space()
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            comma = "," if not last or self.draw(st.booleans()) else ""
            out += part + self.space() + comma + self.space()
        return out

    def text(self, value: str) -> str:
        quote = self.draw(st.sampled_from("\"'"))
        continued = self.draw(st.sampled_from(["", "\\\n", "\\\r\n", "\\\u2029"]))
        return quote + continued + "".join(self._character(c, quote) for c in value) + quote

    def _character(self, character: str, quote: str) -> str:
        if ord(character) < 0x20 or character in "\\\u2028\u2029\x7f":
            return f"\\u{ord(character):04X}"
        if character == quote:
            return "\\" + quote
        if ord(character) < 0x100 and self.draw(st.integers(0, 9)) == 0:
            return f"\\x{ord(character):02x}"
        return character
