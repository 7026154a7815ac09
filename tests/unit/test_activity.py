"""What Raft is told of turns: the table, the tools, and the queue that the bridge fetches from."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.hook_token import Run
from raftsup.worker.activity import codec, state
from raftsup.worker.activity.state import ENDS, Dot, Heard, Told
from raftsup.worker.activity.subscriber import CAPACITY, Queue

RUN = (17, 1)
IDLE = Dot("online")


def heard(name: str, at: float = 10.0, run: Run = RUN, **more: Any) -> Heard:
    return Heard(name, run, at, **more)


def step(kind: str, at: float = 10.0, **more: Any) -> Heard:
    return heard("turn.step", at, kind=kind, **more)


def after(*events: Heard, dot: Dot = IDLE) -> tuple[Dot, list[Told]]:
    told = []
    for event in events:
        dot, new = state.follow(dot, event)
        told += [new] if new else []
    return dot, told


STARTED = heard("turn.started", 1.0)


def test_a_turn_that_uses_a_tool_thinks_works_thinks_and_is_online_again() -> None:
    dot, told = after(
        STARTED,
        step("tool_started", 2.0, tool="execute"),
        step("tool_ended", 2.5, tool="execute"),
        heard("turn.done", 4.0),
    )
    assert told == [
        Told("UserPromptSubmit", "thinking", 1.0),
        Told("PreToolUse", "working", 2.0, tool="execute", detail="execute"),
        Told("PostToolUse", "thinking", 2.5, tool="execute", took=0.5),
        Told("Stop", "online", 4.0, took=3.0),
    ]
    assert dot == IDLE


@pytest.mark.parametrize(
    ("name", "status", "error_class"),
    [
        ("turn.done", "online", ""),
        ("turn.cancelled", "error", "interrupted"),
        ("turn.interrupt", "error", "interrupted"),
        ("turn.retry", "error", "attempt_failed"),
        ("turn.postpone", "error", "postponed"),
        ("turn.failed", "error", "failed"),
        ("turn.timed_out", "error", "timed_out"),
    ],
)
def test_each_end_of_an_attempt_takes_the_dot_off_thinking(
    name: str, status: str, error_class: str
) -> None:
    dot, told = after(STARTED, step("tool_started", tool="read"), heard(name))
    assert (dot.status, dot.runs, dot.tools) == (status, {}, ())
    assert (told[-1].hook, told[-1].status, told[-1].error_class) == ("Stop", status, error_class)
    assert (status == "error") == ("turn 17" in told[-1].detail)
    assert name in ENDS


def test_a_tool_that_fails_is_told_and_the_agent_goes_on() -> None:
    _, told = after(
        STARTED, step("tool_started", tool="x"), step("tool_ended", tool="x", failed=True)
    )
    assert (told[-1].hook, told[-1].status, told[-1].error_class) == (
        "PostToolUseFailure",
        "thinking",
        "tool_failed",
    )


def test_while_one_of_several_tools_is_open_the_agent_works() -> None:
    _, told = after(
        STARTED,
        step("tool_started", 1.0, tool="a"),
        step("tool_started", 2.0, tool="b"),
        step("tool_ended", 5.0, tool="b"),
        step("tool_ended", 6.0),
    )
    assert [(t.status, t.tool, t.took) for t in told[3:]] == [
        ("working", "b", 3.0),
        ("thinking", "a", 5.0),
    ]


def test_thinking_in_many_pieces_is_told_once_and_only_after_tools() -> None:
    _, told = after(
        STARTED, step("thinking"), step("tool_started"), step("thinking"), step("thinking")
    )
    assert [(t.hook, t.status) for t in told[1:]] == [
        ("PreToolUse", "working"),
        ("PostToolBatch", "thinking"),
    ]


def test_an_agent_that_never_ends_its_tools_costs_no_more_memory() -> None:
    dot, _ = after(STARTED, *[step("tool_started")] * 1000)
    assert len(dot.tools) == 64


def test_a_step_of_an_attempt_that_does_not_run_is_not_told() -> None:
    assert after(step("tool_started", tool="x")) == (IDLE, [])
    assert after(STARTED, step("nonsense"))[1][1:] == []


def test_the_end_of_a_turn_that_never_began_changes_nothing() -> None:
    assert after(heard("turn.cancelled", run=(18, 0))) == (IDLE, [])
    assert after(STARTED, heard("turn.cancelled", run=(18, 0)))[1][1:] == []
    failed, _ = after(STARTED, heard("turn.failed"))
    assert after(heard("turn.cancelled", run=(18, 0)), dot=failed) == (failed, [])
    assert after(heard("turn.reopened"), heard("turn.unheard_of")) == (IDLE, [])


def test_a_turn_that_a_predecessor_left_is_told_as_interrupted_and_then_as_run_again() -> None:
    dot, told = after(heard("turn.interrupt"), heard("turn.started", run=(17, 2)))
    assert [(t.hook, t.status, t.error_class) for t in told] == [
        ("Stop", "error", "interrupted"),
        ("UserPromptSubmit", "thinking", ""),
    ]
    assert dot.status == "thinking"


def test_the_end_of_one_turn_leaves_the_dot_to_the_other_that_runs() -> None:
    dot, told = after(
        STARTED, heard("turn.started", run=(18, 1)), heard("turn.failed", run=(18, 1))
    )
    assert (dot.status, list(dot.runs), told[-1].status) == ("thinking", [RUN], "thinking")


def test_the_first_look_is_told_whatever_it_finds() -> None:
    dot, told = state.look(Dot(), {}, 5.0)
    assert (dot, told) == (IDLE, Told("SessionStart", "online", 5.0))
    dot, told = state.look(Dot(), {RUN: 4.0}, 5.0)
    assert (dot.status, told) == ("thinking", Told("SessionStart", "thinking", 5.0))


@pytest.mark.parametrize(
    ("runs", "hook", "status"),
    [
        ({}, "Stop", "online"),
        ({(17, 2): 3.0}, "UserPromptSubmit", "thinking"),
        ({RUN: 1.0}, "PostToolBatch", "thinking"),
    ],
)
def test_a_look_makes_good_what_was_missed(runs: dict[Run, float], hook: str, status: str) -> None:
    working, _ = after(STARTED, step("tool_started", tool="x"))
    dot, told = state.look(working, runs, 5.0)
    assert (dot.status, dot.runs, dot.tools) == (status, runs, ())
    assert told == Told(hook, status, 5.0)


def test_a_look_that_finds_what_is_known_says_nothing() -> None:
    thinking, _ = after(STARTED)
    failed, _ = after(STARTED, heard("turn.failed"))
    assert state.look(thinking, {RUN: 1.0}, 5.0)[1] is None
    assert state.look(failed, {}, 5.0) == (failed, None)


def test_a_dispatcher_that_stays_away_is_told_only_if_it_leaves_the_dot_wrong() -> None:
    assert state.lost(IDLE, 5.0) == (IDLE, None)
    dot, told = state.lost(after(STARTED)[0], 5.0)
    assert told is not None
    assert (told.status, told.error_class) == ("error", "dispatcher_down")
    back, again = state.look(dot, {}, 6.0)
    assert (back.status, again) == ("online", Told("SessionStart", "online", 6.0))


EVENT = {"event": "turn.step", "account": "a", "turn": 17, "attempt": 1, "at": 10.0}


def test_only_the_accounts_own_events_are_heard() -> None:
    raw = {**EVENT, "kind": "tool_ended", "tool": "execute", "failed": True, "reason": "secret"}
    assert codec.parse(raw, "a") == step("tool_ended", tool="execute", failed=True)
    assert codec.parse(raw, "b") is None


@pytest.mark.parametrize("key", list(EVENT))
def test_what_is_no_event_is_not_heard(key: str) -> None:
    assert codec.parse({k: v for k, v in EVENT.items() if k != key}, "a") is None
    assert codec.parse({**EVENT, key: []}, "a") is None


@pytest.mark.parametrize("tool", ["rm -rf ~/work", "two\nlines", "x" * 121, "", 7, None])
def test_a_tool_whose_name_may_be_a_sentence_stays_unnamed(tool: object) -> None:
    found = codec.parse({**EVENT, "tool": tool}, "a")
    assert found is not None
    assert found.tool == ""


def test_what_runs_is_read_from_the_status_and_nonsense_in_it_passed_over() -> None:
    item = {"account": "a", "turn": 17, "attempt": 2, "startedAt": 3.5, "lane": "a"}
    other = {**item, "account": "b"}
    assert codec.parse_running([item, other, {}, None, 3], "a") == {(17, 2): 3.5}
    assert codec.parse_running("many", "a") == {}


def test_an_event_looks_as_raft_wants_it() -> None:
    told = Told("PostToolUseFailure", "error", 0.0, "execute", 0.2504, "tool_failed", "d" * 300)
    assert codec.wire(told, "raftsup-1", "session-1", 1_800_000_000_007) == {
        "schema": "raft-activity.v1",
        "eventId": "raftsup-1",
        "sessionId": "session-1",
        "hookEventName": "PostToolUseFailure",
        "status": "error",
        "occurredAt": "2027-01-15T08:00:00.007Z",
        "toolName": "execute",
        "durationMs": 250,
        "errorClass": "tool_failed",
        "detail": "d" * 200,
    }
    bare = codec.wire(Told("Stop", "online", 0.0), "raftsup-1", "session-1", 0)
    assert set(bare) == {
        "schema", "eventId", "sessionId", "hookEventName", "status", "occurredAt",
    }  # fmt: skip


names = st.sampled_from(["turn.started", "turn.reopened", *ENDS])
runs = st.tuples(st.integers(1, 3), st.integers(1, 2))
steps = st.builds(
    lambda run, at, kind, tool, failed: Heard("turn.step", run, at, kind, tool, failed),
    runs,
    st.floats(0, 1e9),
    st.sampled_from(["thinking", "tool_started", "tool_ended", "other"]),
    st.text(string.ascii_lowercase, max_size=2),
    st.booleans(),
)
events = st.one_of(steps, st.builds(Heard, names, runs, st.floats(0, 1e9)))


@given(st.lists(events, max_size=60))
def test_the_last_word_told_is_always_the_truth(happened: list[Heard]) -> None:
    dot, told = after(*happened)
    running: set[Run] = set()
    for event in happened:
        if event.name == "turn.started":
            running.add(event.run)
        elif event.name in ENDS:
            running.discard(event.run)
    assert set(dot.runs) == running
    assert (dot.status in ("thinking", "working")) == bool(running)
    assert (told[-1].status if told else "online") == dot.status
    assert all(tool.run in running for tool in dot.tools)


@given(
    st.integers(1, 5),
    st.lists(st.one_of(st.just("put"), st.integers(1, 7)), max_size=80),
)
def test_the_queue_is_bounded_keeps_order_counts_drops_and_tells_nothing_twice(
    capacity: int, moves: list[Any]
) -> None:
    queue, model, put = Queue(capacity), list[int](), 0
    handed_out: list[int] = []
    all_dropped = dropped = 0
    for move in moves:
        if move == "put":
            queue.put({"n": put})
            model.append(put)
            put += 1
            if len(model) > capacity:
                model.pop(0)
                dropped += 1
        else:
            got, told = queue.drain(move)
            assert [event["n"] for event in got] == model[:move]
            assert told == dropped
            handed_out += model[:move]
            all_dropped, dropped = all_dropped + dropped, 0
            del model[:move]
    assert handed_out == sorted(set(handed_out))
    assert len(handed_out) + all_dropped + dropped + len(model) == put


def test_an_agent_nobody_fetches_from_keeps_256_events() -> None:
    queue = Queue()
    for number in range(CAPACITY + 3):
        queue.put({"n": number})
    events, dropped = queue.drain(10**30)
    assert (len(events), events[0]["n"], dropped) == (256, 3, 3)
    assert queue.drain(1) == ([], 0)
