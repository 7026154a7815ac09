"""Changing one place of a JSON5 text: every byte elsewhere stays, comments and order too.

Pure, text to text. An edit that would not lead to the tree it means is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raftsup.config.errors import Location
from raftsup.config.json5.cst import Member, Value, parse_cst
from raftsup.config.json5.insert import insert, replace, take_out
from raftsup.config.reader import parse
from raftsup.errors import RaftsupError

Keys = tuple[str, ...]


class EditRefused(RaftsupError):
    """The text cannot be changed there without harm; the message says where and why."""


@dataclass(frozen=True)
class Set:
    """Write ``value`` at ``keys``; objects on the way there are made."""

    keys: Keys
    value: object


@dataclass(frozen=True)
class Remove:
    """Take out what stands at ``keys``, with its own comments; nothing there is no error."""

    keys: Keys


Edit = Set | Remove


def edited(text: str, edits: Sequence[Edit], path: Path) -> str:
    """``text`` (of the file ``path``, for messages) with ``edits`` applied in their order.

    Raises ``ConfigError`` for a text that is not JSON5 and ``EditRefused``.
    """
    tree = parse(text, path)
    for edit in edits:
        for step in _steps(tree, edit):
            text = _apply(text, step, Location(str(path)))
        tree = wanted = meant(tree, edit)
        if not same(parse(text, path), wanted):
            where = Location(str(path), edit.keys)
            raise EditRefused(f"{where}: cannot be changed here safely; edit the file by hand")
    return text


def meant(tree: object, edit: Edit) -> object:
    """The tree that ``edit`` makes of ``tree``."""
    return _meant(tree, edit.keys, edit)


def _meant(tree: object, keys: Keys, edit: Edit) -> object:
    if not keys:
        return edit.value if isinstance(edit, Set) else tree
    if not isinstance(tree, Mapping):
        return tree
    head, rest = keys[0], keys[1:]
    if isinstance(edit, Remove):
        if head not in tree:
            return tree
        if not rest:
            return {key: value for key, value in tree.items() if key != head}
    return {**tree, head: _meant(tree.get(head, {}), rest, edit)}


def same(one: object, other: object) -> bool:
    """Whether two trees are the same, types too (1 is neither true nor 1.0); NaN is NaN."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


def _steps(tree: object, edit: Edit) -> Iterator[Edit]:
    """``edit`` as the smallest changes: of an object just the keys that differ, so that the
    comments in it stay.
    """
    old = tree
    for key in edit.keys:
        old = old.get(key) if isinstance(old, Mapping) else None
    if isinstance(edit, Set) and isinstance(old, Mapping) and isinstance(edit.value, Mapping):
        for key in old:
            if key not in edit.value:
                yield Remove((*edit.keys, key))
        for key, value in edit.value.items():
            yield from _steps(tree, Set((*edit.keys, key), value))
    elif isinstance(edit, Remove) or old is None or not same(old, edit.value):
        yield edit


def _apply(text: str, edit: Edit, file: Location) -> str:
    whole = holder = parse_cst(text)
    for depth, key in enumerate(edit.keys):
        if isinstance(edit, Remove) and text[holder.start] != "{":
            return text
        member = _member(text, holder, key, file.at(*edit.keys[:depth]))
        last = depth == len(edit.keys) - 1
        if member is None:
            if isinstance(edit, Remove):
                return text
            return insert(text, whole, holder, edit.keys[depth:], edit.value)
        if last and isinstance(edit, Remove):
            return take_out(text, holder, member)
        holder = member.value
    return replace(text, whole, holder, edit.value) if isinstance(edit, Set) else text


def _member(text: str, holder: Value, key: str, place: Location) -> Member | None:
    if text[holder.start] != "{":
        raise EditRefused(f"{place}: is not an object, so it has no {key!r}; write {{ }} there")
    found = [member for member in holder.members if member.key == key]
    if len(found) > 1:
        raise EditRefused(f"{place.at(key)}: this key is written twice; keep one of them")
    return found[0] if found else None
