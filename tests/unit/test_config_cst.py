"""Where things stand in a JSON5 text: always where the parser found them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import json5
import pytest
from hypothesis import HealthCheck, example, given, settings

from raftsup.config.json5.cst import Value, parse_cst
from raftsup.config.json5.edit import same
from tests.unit.json5_texts import Written, documents


def read(text: str, value: Value) -> Any:
    """The tree, told from the spans alone; just what has no parts is given to the parser."""
    match text[value.start]:
        case "{":
            return {member.key: read(text, member.value) for member in value.members}
        case "[":
            return [read(text, element) for element in value.elements]
    return json5.loads(text[value.start : value.end])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
@example(Written("{a:1,'b':[2,],}", {"a": 1, "b": [2]}, ()))
def test_each_value_and_key_stands_where_its_span_says(written: Written) -> None:
    assert same(json5.loads(written.text), written.tree)
    assert same(read(written.text, parse_cst(written.text)), written.tree)


@pytest.mark.parametrize(
    "text",
    [
        "{\\u0061b: .5e3, n: -Infinity/*c*/}", "{'a\\\r\nb': NaN}", "[+0x1F, 1., -0]",
        "{a: 'it\\'s', b: \"//no\", c: '/*'}", "\ufeff/**/ 'text' //", "{null: 1, true: {}}",
        "{a:[[],{},[{}]]}", "/**//***/{}",
    ],
)  # fmt: skip
def test_a_text_that_the_parser_takes_has_spans(text: str) -> None:
    assert repr(read(text, parse_cst(text))) == repr(json5.loads(text))


def test_a_member_knows_its_comma_also_behind_a_comment() -> None:
    text = "{ a: 1 /* , */ , b: 2 }"
    a, b = parse_cst(text).members
    assert a.comma is not None and text[a.comma] == "," and a.comma > text.index("*/")
    assert b.comma is None and b.end == b.value.end


def test_the_example_of_every_setting_is_read_alike() -> None:
    text = (Path(__file__).parents[2] / "conf" / "raftsup.example.json5").read_text()
    assert read(text, parse_cst(text)) == json5.loads(text)
