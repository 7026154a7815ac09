"""What repeats is counted; a wake's way is told step by step."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup import log
from raftsup.log import Repeats, Said, say

DOWN = Said(logging.ERROR, "action=ledger.unavailable")
NOISE = Said(logging.INFO, "action=bridge.said line=x")
NEW = Said(logging.INFO, "action=worker.stopping")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a program that has called ``log.start`` writes."""
    logger, out = logging.getLogger("raftsup"), io.StringIO()
    before = (logger.handlers[:], logger.level, logger.propagate)
    monkeypatch.setattr("sys.stderr", out)
    log.start("support")
    yield out
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_the_first_is_written_and_those_that_follow_it_are_counted() -> None:
    repeats = Repeats(window=60)
    assert repeats.hear(DOWN, 0.0) == [(DOWN, 0)]
    assert [repeats.hear(DOWN, n / 2) for n in range(1, 100)] == [[]] * 99
    assert repeats.hear(DOWN, 60.0) == [(DOWN, 100)]


def test_something_new_is_told_after_the_counts_of_what_went_on_before() -> None:
    repeats = Repeats(window=60)
    for moment in (0.0, 1.0, 2.0):
        repeats.hear(DOWN, moment)
    assert repeats.hear(NEW, 3.0) == [(DOWN, 2), (NEW, 0)]


def test_two_that_take_turns_are_both_counted() -> None:
    repeats = Repeats(window=60)
    written = [told for n in range(100) for told in repeats.hear((DOWN, NOISE)[n % 2], n / 10)]
    assert written == [(DOWN, 0), (NOISE, 0)]


def test_what_comes_again_after_its_window_is_no_repeat() -> None:
    repeats = Repeats(window=60)
    repeats.hear(DOWN, 0.0)
    repeats.hear(NEW, 61.0)
    assert repeats.hear(DOWN, 62.0) == [(DOWN, 0)]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 50))), st.integers(1, 4))
def test_no_record_is_lost_from_the_count(heard: list[tuple[int, float]], most: int) -> None:
    repeats, now, written = Repeats(window=60, most=most), 0.0, 0
    for number, pause in heard:
        now += pause
        told = repeats.hear(Said(logging.INFO, f"action=a.{number}"), now)
        written += sum(count or 1 for _, count in told)
    written += sum(count for _, count in repeats.tell(now + 61))
    assert written == len(heard)


def test_a_thousand_times_the_same_is_two_lines(lines: io.StringIO) -> None:
    logger = logging.getLogger("raftsup.dispatcher")
    for _ in range(1000):
        logger.error(say("ledger.unavailable", reason="the disk is full"))
    logger.info(say("dispatcher.stopped"))
    first, count, stopped = (line.split(" ", 1)[1] for line in lines.getvalue().splitlines())
    assert first == 'ERROR support action=ledger.unavailable reason="the disk is full"'
    assert count == f"{first} repeated=999"
    assert stopped == "INFO support action=dispatcher.stopped"


@pytest.mark.parametrize("action", ["wake.accepted", "wake.duplicate", "turn.done"])
def test_a_step_of_a_wakes_way_is_written_each_time(lines: io.StringIO, action: str) -> None:
    for _ in range(3):
        logging.getLogger("raftsup.worker").info(say(action, turn=1))
    assert lines.getvalue().count(f"action={action} turn=1\n") == 3


def test_an_error_with_its_traceback_is_written_each_time(lines: io.StringIO) -> None:
    for _ in range(3):
        try:
            raise KeyError("x")
        except KeyError:
            logging.getLogger("raftsup.worker").exception(say("runner.broke"))
    assert lines.getvalue().count("KeyError: 'x'") == 3
