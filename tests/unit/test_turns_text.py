"""What an operator reads of turns: lines, pages, what holds one, transcripts in a terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.ops.turns import for_terminal, line, page, progress, transcripts, why_queued
from raftsup.paths import StateDir
from raftsup.turn import State, Turn

NOW = 1_800_000_000.0
WHEN = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(NOW))
DONE = Turn(7, "support", State.DONE, attempt=2, failures=1, interruptions=2,
            owed_at=NOW, started_at=NOW + 5, ended_at=NOW + 7.25)  # fmt: skip
FAILED = Turn(8, "sales", State.FAILED, "operator", attempt=1, failures=1, owed_at=NOW,
              started_at=NOW + 1, ended_at=NOW + 2, reason="the agent exited with 3")  # fmt: skip


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    found = StateDir(tmp_path / "s")
    found.turns.mkdir(parents=True)
    return found


def test_a_line_tells_when_a_turn_was_owed_and_how_long_its_last_attempt_ran() -> None:
    assert line(DONE) == (f"7  {WHEN}  support  done, 7.2 s after it was owed, attempt 2 ran 2.2 s")


def test_a_line_tells_why_a_turn_failed_and_that_an_operator_asked_for_it() -> None:
    assert line(FAILED) == (
        f"8  {WHEN}  sales  failed, asked for by an operator, 2.0 s after it was owed,"
        " attempt 1 ran 1.0 s, the agent exited with 3"
    )


def test_the_reason_of_an_earlier_attempt_is_not_told_as_that_of_the_running_one() -> None:
    running = Turn(9, "a", State.RUNNING, attempt=2, owed_at=NOW, started_at=NOW, reason="it fell")
    assert line(running) == f"9  {WHEN}  a  running, attempt 2, earlier: it fell"


@pytest.mark.parametrize(
    ("turn", "held", "words"),
    [
        (Turn(1, "a"), "", "queued"),
        (Turn(1, "a"), "it is away", "queued: it is away"),
        (Turn(1, "a", attempt=1, reason="it fell"), "", "queued, attempt 1: it fell"),
        (Turn(1, "a", attempt=1, reason="it fell"), "it rests", "queued, attempt 1: it rests"),
        (Turn(1, "a", State.RUNNING, attempt=2, reason="it fell"), "",
         "running, attempt 2, earlier: it fell"),
        (Turn(1, "a", State.RUNNING, attempt=2, reason="it fell"), "nobody answers",
         "running, attempt 2, earlier: it fell: nobody answers"),
        (Turn(1, "a", State.FAILED, attempt=3, reason="it fell"), "",
         "failed, attempt 3: it fell"),
    ],
)  # fmt: skip
def test_who_waits_for_a_turn_reads_what_holds_it_and_never_an_old_reason_for_a_new_one(
    turn: Turn, held: str, words: str
) -> None:
    assert progress(turn, held) == f"turn 1 of a: {words}"


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (Turn(1, "a", owed_at=NOW), "queued, not begun"),
        (Turn(1, "a", State.CANCELLED, owed_at=NOW, ended_at=NOW + 1), "never begun"),
        # Cancelled between two attempts: nothing ran for those 600 s.
        (Turn(1, "a", State.CANCELLED, attempt=1, owed_at=NOW, started_at=NOW, ended_at=NOW + 600),
         "owed, attempt 1"),
    ],
)  # fmt: skip
def test_a_line_never_tells_that_a_turn_ran_when_it_did_not(turn: Turn, words: str) -> None:
    assert line(turn).endswith(words)


def test_a_page_tells_all_of_a_turn_with_its_transcripts(state: StateDir) -> None:
    state.transcript(7, 2).write_text("hello")
    assert page(DONE, state).splitlines() == [
        "turn        7",
        "account     support",
        "state       done",
        f"owed        {WHEN}, to a wake",
        f"started     {time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(NOW + 5))}, attempt 2",
        f"ended       {time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(NOW + 7))}",
        "failed      1 attempt",
        "interrupted 2 times",
        f"transcript  {state.transcript(7, 2)} (5 bytes)",
    ]


def test_a_page_of_a_turn_that_waits_tells_why_it_waits_and_why_the_last_attempt_failed(
    state: StateDir,
) -> None:
    waits = Turn(9, "a", attempt=1, failures=1, owed_at=NOW, started_at=NOW, reason="it fell")
    told = page(waits, state, "lane a is paused by an operator")
    assert "state       queued: lane a is paused by an operator\n" in told
    assert "earlier     it fell\n" in told
    assert "reason" not in told and "ended" not in told


def test_only_attempts_that_left_a_transcript_are_listed(state: StateDir) -> None:
    state.transcript(7, 1).write_text("")
    state.transcript(7, 3).write_text("of another life")
    assert transcripts(DONE, state) == [
        {"attempt": 1, "path": str(state.transcript(7, 1)), "bytes": 0}
    ]
    assert "(empty)" in page(DONE, state)


def status(**more: Any) -> Any:
    return {
        "unavailable": {}, "held": {}, "draining": False, "laneOf": {"a": "shared", "b": "b"},
        "lanes": {}, "running": [], "recovering": [], "concurrency": 2, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, ""),
        ({"unavailable": {"a": "the Gateway is away"}}, "the Gateway is away"),
        ({"unavailable": {"b": "the Gateway is away"}}, ""),
        ({"held": {"a": 1}}, "the config does not run its account"),
        ({"draining": True}, "the host is stopping; the turn is kept until it runs again"),
        ({"lanes": {"*": {"paused": True}}}, "every lane is paused by an operator"),
        ({"lanes": {"shared": {"paused": True}}}, "lane shared is paused by an operator"),
        ({"lanes": {"shared": {"paused": False, "notBefore": NOW - 1, "failures": 3}}}, ""),
        ({"running": [{"turn": 3, "lane": "shared"}]}, "turn 3 of its lane runs"),
        ({"running": [{"turn": 3, "lane": "b"}]}, ""),
        ({"running": [{"turn": 3, "lane": "b"}, {"turn": 4, "lane": "c"}]},
         "2 turns run, and turns.concurrency allows no more"),
        ({"recovering": ["shared"]},
         "what the dispatcher before this one left running in its lane is not gone yet"),
    ],
)  # fmt: skip
def test_what_holds_a_queued_turn_is_told(more: dict[str, Any], words: str) -> None:
    assert why_queued("a", status(**more), NOW) == words


def test_a_rest_is_told_by_the_moment_of_its_end_so_that_it_is_told_once() -> None:
    rests = status(lanes={"shared": {"paused": False, "notBefore": NOW + 60, "failures": 3}})
    told = why_queued("a", rests, NOW)
    until = time.strftime("%H:%M:%S %Z", time.localtime(NOW + 60))
    assert told == f"its lane rests until {until} after 3 failed in a row"
    assert why_queued("a", rests, NOW + 20) == told


def test_a_transcript_cannot_command_the_terminal_that_it_is_shown_in() -> None:
    said = b"\x1b]0;owned\x07 caf\xc3\xa9\ttab\r\nline\r \xff\n"
    assert for_terminal(said).decode() == "\\x1b]0;owned\\x07 café\ttab\nline\\r \ufffd\n"


@given(st.binary())
def test_no_byte_of_a_transcript_reaches_a_terminal_as_a_control(said: bytes) -> None:
    shown = for_terminal(said).decode()
    assert all(c.isprintable() or c in "\n\t" for c in shown)
