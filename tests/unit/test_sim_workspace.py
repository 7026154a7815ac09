"""The workspace's rules: what is pending, what is read, who hears what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.sim.faults import BadFault, Fault, FaultBoard, parse
from raftsup.sim.workspace import Hints, UnknownAgent, Workspace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def workspace() -> Workspace:
    made = Workspace(clock=Clock())
    made.add_agent("support")
    made.add_agent("engineering")
    return made


def pending(ws: Workspace, since: int | None = 0, limit: int = 50) -> list[int]:
    return [m.seq for m in ws.hints("agent-support", since, limit).pending]


def test_peeking_at_hints_consumes_nothing() -> None:
    ws = workspace()
    ws.post("support", "one")
    assert pending(ws) == pending(ws) == [1]


def test_since_latest_lists_all_that_is_pending() -> None:
    ws = workspace()
    assert ws.hints("agent-support", None).last_seq is None
    message = ws.post("support", "one")
    page = ws.hints("agent-support", None)
    assert (page.pending, page.last_seq) == ((message,), 1)
    assert ws.hints("agent-support", 1) == Hints((), 1, False)


def test_a_page_of_hints_says_that_more_are_pending() -> None:
    ws = workspace()
    for _ in range(3):
        ws.post("support", "x")
    page = ws.hints("agent-support", 0, limit=2)
    assert (len(page.pending), page.has_more, page.last_seq) == (2, True, 2)


def test_a_message_is_pending_for_its_own_agent_only() -> None:
    ws = workspace()
    ws.post("engineering", "one")
    assert pending(ws) == []


def test_a_batch_comes_again_until_its_cursor_is_sent() -> None:
    ws = workspace()
    ws.post("support", "one")
    first = ws.pull("agent-support")
    assert ws.pull("agent-support") == first
    assert ws.pull("agent-support", since=first.cursor).messages == ()
    assert pending(ws) == []


def test_reading_is_recorded_with_its_time() -> None:
    ws = workspace()
    ws.post("support", "one")
    assert ws.messages()[0]["read_at"] is None
    ws.pull("agent-support", since=ws.pull("agent-support").cursor)
    assert ws.messages()[0]["read_at"] == 100.0


def test_an_event_of_an_app_is_after_whatever_was_seen_and_moves_nothing() -> None:
    ws = workspace()
    said, app = ws.post("support", "one"), ws.post("support", "two", app="github")
    assert ws.hints("agent-support", None).pending == (said, app)
    assert ws.hints("agent-support", 7) == Hints((app,), 7, False)
    assert ws.said_in("agent-support", "#general") == [said]
    assert ws.pull("agent-support").messages == (said, app)
    assert ws.hints("agent-support", None).pending == (said,)


def test_a_reply_wakes_nobody() -> None:
    ws = workspace()
    ws.reply("agent-support", "#general", "hello")
    assert pending(ws) == []
    assert ws.hints("agent-engineering", 0).pending == ()


def test_an_unknown_agent_is_named() -> None:
    with pytest.raises(UnknownAgent, match="no agent 'sales'"):
        workspace().post("sales", "x")


@given(st.lists(st.integers(1, 5), max_size=20))
def test_reading_in_any_batches_reads_each_message_once_and_in_order(limits: list[int]) -> None:
    ws = workspace()
    for n in range(20):
        ws.post("support", str(n))
    read: list[str] = []
    cursor = None
    for limit in [*limits, 50, 50]:
        batch = ws.pull("agent-support", cursor, limit)
        read += [m.text for m in batch.messages]
        cursor = batch.cursor
    assert read == [str(n) for n in range(20)]


def test_a_fault_spoils_as_many_requests_as_it_counts() -> None:
    board = FaultBoard(Clock())
    board.set(Fault("error", count=2))
    taken = [board.take(("error",), (), "/x") is not None for _ in range(3)]
    assert taken == [True, True, False]


def test_a_fault_ends_after_its_seconds() -> None:
    clock = Clock()
    board = FaultBoard(clock)
    board.set(Fault("error", seconds=5))
    clock.now += 4.9
    assert board.take(("error",), (), "/x")
    clock.now += 0.2
    assert board.take(("error",), (), "/x") is None


def test_a_fault_of_one_agent_spares_the_others() -> None:
    board = FaultBoard(Clock())
    board.set(Fault("error", agent="support"))
    assert board.take(("error",), ("engineering", "agent-engineering"), "/x") is None
    assert board.take(("error",), ("support", "agent-support"), "/x")


def test_a_drop_closes_the_streams_opened_before_it_and_no_later_ones() -> None:
    clock = Clock()
    board = FaultBoard(clock)
    board.set(Fault("drop"))
    assert board.dropped((), opened_at=99.0)
    assert not board.dropped((), opened_at=101.0)


@pytest.mark.parametrize(
    "raw",
    [{}, {"kind": "rain"}, {"kind": "refuse"}, {"kind": "bridge"}, {"kind": "error", "often": 1}],
)
def test_a_fault_that_makes_no_sense_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises(BadFault):
        parse(raw)
