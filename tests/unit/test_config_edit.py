"""Editing a JSON5 text: the intended tree, and every other byte as it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import json5
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftsup.config.errors import ConfigError
from raftsup.config.json5.edit import Edit, EditRefused, Remove, Set, edited, meant, same
from tests.unit.json5_texts import KEYS, TREES, Written, documents

FILE = Path("raftsup.json5")


def paths(tree: Any) -> list[tuple[str, ...]]:
    """Of everything in the objects of a tree."""
    if not isinstance(tree, dict):
        return []
    return [p for k, v in tree.items() for p in [(k,), *((k, *rest) for rest in paths(v))]]


@st.composite
def changes(draw: st.DrawFn) -> tuple[Written, Edit]:
    written = draw(documents())
    known = paths(written.tree)
    some: bool = draw(st.booleans())
    old = draw(st.sampled_from(known)) if known and some else ()
    new = tuple(draw(st.lists(st.sampled_from(KEYS), min_size=not old, max_size=2)))
    if draw(st.booleans()):
        return written, Remove((*old, *new))
    return written, Set((*old, *new), draw(TREES))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes())
def test_an_edit_makes_the_tree_that_it_means_or_is_refused(change: tuple[Written, Edit]) -> None:
    written, edit = change
    try:
        text = edited(written.text, [edit], FILE)
    except EditRefused:
        holders = [at(written.tree, edit.keys[:n]) for n in range(len(edit.keys))]
        assert isinstance(edit, Set)
        assert any(h is not None and not isinstance(h, dict) for h in holders) or None in holders
        return
    assert same(json5.loads(text), meant(written.tree, edit))
    assert edited(text, [edit], FILE) == text, "the second time changes nothing"


def at(tree: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), st.sampled_from(["new", "also new"]), TREES)
def test_a_new_key_leaves_every_character_and_every_comment(
    written: Written, key: str, value: Any
) -> None:
    text = edited(written.text, [Set((key,), value)], FILE)
    assert [c for c in written.comments if c not in text] == []
    rest = iter(text)
    missing = [c for c in written.text if not c.isspace() and c not in rest]
    assert missing == [], "all that stood there stands there, in its order"
    assert same(json5.loads(edited(text, [Remove((key,))], FILE)), written.tree)


TEXT = """\
// head
{
  // about a
  a: 1, // behind a

  // a paragraph of its own

  // about b
  // in two lines
  b: { c: 2 },
  /* about d */ d: [1, 2], e: "x" // behind e
}
"""


@pytest.mark.parametrize(
    ("key", "gone"),
    [
        ("a", ["  // about a\n  a: 1, // behind a\n"]),
        ("b", ["  // about b\n  // in two lines\n  b: { c: 2 },\n"]),
        ("d", ["/* about d */ d: [1, 2], "]),
        ("e", [",", ' e: "x"']),
    ],
)
def test_a_key_goes_with_its_own_comments_only(key: str, gone: list[str]) -> None:
    expected = TEXT
    if key == "e":
        expected = TEXT.replace('[1, 2], e: "x" //', "[1, 2] //")
    else:
        for part in gone:
            expected = expected.replace(part, "")
    assert edited(TEXT, [Remove((key,))], FILE) == expected


@pytest.mark.parametrize(
    ("text", "edit", "expected"),
    [
        # The style of the neighbours: commas, quotes, line breaks, indentation.
        ("{\n    a: 1\n}", Set(("b",), "x"), '{\n    a: 1,\n    b: "x"\n}'),
        ("{\r\n\ta: 1, // c\r\n}", Set(("b",), 2), "{\r\n\ta: 1, // c\r\n\tb: 2,\r\n}"),
        ('{"a": 1}', Set(("b",), {"c": 1}), '{"a": 1, "b": { "c": 1 }}'),
        ("{ a: {} }", Set(("a", "b"), 1), "{ a: { b: 1 } }"),
        ("{ a: 1 /* c */ }", Set(("b",), 1), "{ a: 1, /* c */ b: 1 }"),
        ("{}", Set(("a", "b"), 1), "{\n  a: {\n    b: 1,\n  },\n}"),
        ("{\n  a: 1, // default\n  // b: 2,\n}", Set(("c",), 3),
         "{\n  a: 1, // default\n  c: 3,\n  // b: 2,\n}"),
        # Just what differs in an object, so that its comments stay.
        ("{ a: { b: 1, /* c */ d: 2 } }", Set(("a",), {"b": 1, "d": 3}),
         "{ a: { b: 1, /* c */ d: 3 } }"),
        ("{ a: 'x' }", Set(("a",), "x"), "{ a: 'x' }"),
        ("{ a: 1 }", Set(("a",), True), "{ a: true }"),
        ("{\n  a: 1,\n}", Remove(("a",)), "{}"),
        ("{\n  // c\n\n  a: 1,\n}", Remove(("a",)), "{\n  // c\n\n}"),
        ("{ a: 1, b: 2 }", Remove(("b",)), "{ a: 1 }"),
        ("{ a: 1, b: 2 }", Remove(("a",)), "{ b: 2 }"),
        ("{ a: 1 }", Remove(("a", "b")), "{ a: 1 }"),
    ],
)  # fmt: skip
def test_an_edit_keeps_the_style_of_the_file(text: str, edit: Edit, expected: str) -> None:
    assert edited(text, [edit], FILE) == expected


def test_a_long_value_is_written_over_several_lines() -> None:
    agent = {"kind": "command", "command": ["a" * 30, "b" * 30, "c" * 30], "cwd": "/x"}
    text = edited("{\n  turns: {\n  },\n}\n", [Set(("turns", "agent"), agent)], FILE)
    assert max(map(len, text.splitlines())) < 110
    assert '\n    agent: {\n      kind: "command",\n' in text


@pytest.mark.parametrize(
    ("text", "keys", "where"),
    [("{ a: [1] }", ("a", "b"), "a"), ("{ a: null }", ("a", "b", "c"), "a"), ("[]", ("a",), "")],
)
def test_an_edit_through_something_that_is_no_object_is_refused(
    text: str, keys: tuple[str, ...], where: str
) -> None:
    with pytest.raises(EditRefused, match=f"^raftsup.json5{f': {where}' if where else ''}: is no"):
        edited(text, [Set(keys, 1)], FILE)


def test_a_key_that_is_written_twice_is_refused() -> None:
    with pytest.raises(EditRefused, match=re.escape("a: this key is written twice")):
        edited("{ a: 1, a: 2 }", [Set(("a",), 3)], FILE)


def test_a_text_that_is_not_json5_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"raftsup\.json5:2:"):
        edited("{\n", [Set(("a",), 3)], FILE)


@pytest.mark.parametrize(
    "text",
    [
        "{\n  a: 1,\n  // b: 2,\n  // c: 3,\n}",
        "{\n  a: 1 // one\n  // b: 2\n}",
        "{\n  a: 1, /* one */\n  /* b: 2\n     c: 3 */\n\n  // end\n}",
    ],
)
def test_what_is_added_and_removed_takes_no_commented_out_neighbour_along(text: str) -> None:
    added = edited(text, [Set(("new",), 1)], FILE)
    assert edited(added, [Remove(("new",))], FILE) == text
