"""One log line a record."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup import log
from raftsup.log import say


def test_a_record_is_its_action_and_its_fields_in_order() -> None:
    text = say("turn.started", turn=17, account="support", seconds=0.12345)
    assert text == "action=turn.started turn=17 account=support seconds=0.123"


def test_a_field_without_a_value_is_left_out() -> None:
    assert say("a", reason=None, lane="") == 'action=a lane=""'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("two words", '"two words"'),
        ('a"b', r'"a\"b"'),
        ("a=b", '"a=b"'),
        ("a\nb", r'"a\nb"'),
        ("\x1b[31m", r'"\u001b[31m"'),
        ("\x9b31m", r'"\u009b31m"'),
        ("a\u2028b", r'"a\u2028b"'),
        ("broken \udcff name", r'"broken \udcff name"'),
        ("grün", "grün"),
    ],
)
def test_a_value_that_could_be_misread_is_quoted(value: str, written: str) -> None:
    assert say("a", x=value) == f"action=a x={written}"


@given(st.text(st.characters(categories=None)))
def test_no_value_breaks_its_line_or_moves_a_terminal(value: str) -> None:
    text = say("a", x=value)
    assert text.isprintable()
    text.encode()


def test_a_line_has_time_level_and_program(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("raftsup")
    before = (logger.handlers[:], logger.level, logger.propagate)
    try:
        log.start("accounts:support").warning(say("bridge.died", code=1))
    finally:
        logger.handlers[:], logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
    stamp, rest = capsys.readouterr().err.split(" ", 1)
    assert rest == "WARNING accounts:support action=bridge.died code=1\n"
    assert len(stamp) == len("2026-11-21T08:00:00.000Z")
    assert stamp.endswith("Z")
