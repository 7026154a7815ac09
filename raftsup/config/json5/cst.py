"""Where the values and keys of a JSON5 text stand, so that one can be changed in its place.

Takes texts that the parser takes (``config/reader.py``): what it refuses is not looked for here.
Positions are indexes into the text; an ``end`` is one past the last character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import json5

#: JSON5's line breaks: ECMAScript's line terminators.
BREAKS = "\n\r\u2028\u2029"
_BLANKS = " \t\v\f\xa0\ufeff"
#: What ends a number, a literal or a bare key.
_AFTER_WORD = ",:]}/"


@dataclass(frozen=True)
class Value:
    start: int
    end: int
    #: Of an object, in the order of the text; a key that is written twice is here twice.
    members: tuple[Member, ...] = ()
    #: Of a list.
    elements: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Member:
    key: str
    #: Where the key begins and ends, its quotes included.
    start: int
    key_end: int
    value: Value
    #: Where the comma after it stands, if there is one.
    comma: int | None

    @property
    def end(self) -> int:
        return self.value.end if self.comma is None else self.comma + 1


@dataclass(frozen=True)
class Comment:
    start: int
    #: Of a ``//`` comment before its line break.
    end: int


def parse_cst(text: str) -> Value:
    """The whole value of a JSON5 text."""
    return _value(text, skip(text, 0))


def is_blank(character: str) -> bool:
    """Space that breaks no line."""
    return character in _BLANKS or unicodedata.category(character) == "Zs"


def skip(text: str, at: int) -> int:
    """The first position from ``at`` that is neither space nor comment."""
    for comment in comments(text, at, len(text)):
        at = comment.end
    while at < len(text) and _is_space(text[at]):
        at += 1
    return at


def comments(text: str, at: int, end: int) -> Iterator[Comment]:
    """The comments from ``at`` on, with nothing but space between them, before ``end``."""
    while at < end:
        if _is_space(text[at]):
            at += 1
        elif text.startswith("//", at):
            begun, at = at, _line_end(text, at)
            yield Comment(begun, at)
        elif text.startswith("/*", at):
            begun, at = at, text.index("*/", at + 2) + 2
            yield Comment(begun, at)
        else:
            return


def _is_space(character: str) -> bool:
    return character in BREAKS or is_blank(character)


def _line_end(text: str, at: int) -> int:
    while at < len(text) and text[at] not in BREAKS:
        at += 1
    return at


def _value(text: str, at: int) -> Value:
    match text[at]:
        case "{":
            return _object(text, at)
        case "[":
            return _list(text, at)
        case '"' | "'":
            return Value(at, _string_end(text, at))
    return Value(at, _word_end(text, at))


def _object(text: str, start: int) -> Value:
    members = []
    at = skip(text, start + 1)
    while text[at] != "}":
        quoted = text[at] in "\"'"
        key_end = _string_end(text, at) if quoted else _word_end(text, at)
        colon = skip(text, key_end)
        value = _value(text, skip(text, colon + 1))
        after = skip(text, value.end)
        comma = after if text[after] == "," else None
        members.append(Member(_key(text[at:key_end], quoted), at, key_end, value, comma))
        at = after if comma is None else skip(text, comma + 1)
    return Value(start, at + 1, members=tuple(members))


def _list(text: str, start: int) -> Value:
    elements = []
    at = skip(text, start + 1)
    while text[at] != "]":
        element = _value(text, at)
        elements.append(element)
        at = skip(text, element.end)
        if text[at] == ",":
            at = skip(text, at + 1)
    return Value(start, at + 1, elements=tuple(elements))


def _string_end(text: str, start: int) -> int:
    at = start + 1
    while text[at] != text[start]:
        # An escape of several characters goes on with some that end no string.
        at += 2 if text[at] == "\\" else 1
    return at + 1


def _word_end(text: str, at: int) -> int:
    while at < len(text) and text[at] not in _AFTER_WORD and not _is_space(text[at]):
        at += 1
    return at


def _key(written: str, quoted: bool) -> str:
    if "\\" in written:
        # Escapes are the parser's to read: ours would be a second opinion.
        return str(next(iter(json5.loads(f"{{{written}:0}}"))))
    return written[1:-1] if quoted else written
