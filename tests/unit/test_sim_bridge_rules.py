"""The bridge's pure rules: its lock, its back-off, its stream, its files, its agent's journal."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from raftsup.sim import bridge_faults, lock, timers
from raftsup.sim.agent import unanswered
from raftsup.sim.bridge_state import BridgeState, Hint, message_id
from raftsup.sim.endpoint_calls import derived_drain, sanitized
from raftsup.sim.stream import Event, Parser

TIMES = timers.Timers()


def hint(seq: int) -> Hint:
    return {"event_id": f"wake-hint:{seq}", "message_id": f"msg-{seq}", "seq": seq}


def test_a_lock_of_a_dead_pid_may_be_taken_over() -> None:
    assert lock.stale('{"pid": 7}', lambda pid: False)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "{}", '{"pid": "7"}', '{"pid": true}', '{"pid": 0}']
)
def test_an_empty_or_corrupt_lock_is_held_for_ever(text: str) -> None:
    assert not lock.stale(text, lambda pid: False)


def test_a_lock_of_a_living_pid_is_held_whoever_that_is() -> None:
    assert not lock.stale('{"pid": 7}', lambda pid: True)


def test_a_held_lock_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "bridge.lock"
    path.write_text("")
    with pytest.raises(lock.LockHeld):
        lock.acquire(path, {"pid": 1})
    assert path.read_text() == ""


def test_the_first_waits_after_a_loss_are_5_10_20_40_60_60_seconds() -> None:
    waits = [timers.retry_delay(n, TIMES) for n in range(1, 7)]
    assert waits == [5, 10, 20, 40, 60, 60]


def test_a_timer_is_set_by_its_variable() -> None:
    assert timers.from_environ({"RAFT_SIM_IDLE": "0.3"}) == TIMES._replace(idle=0.3)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan"])
def test_a_timer_that_is_no_positive_number_is_refused(text: str) -> None:
    with pytest.raises(timers.BadTimer, match="RAFT_SIM_POLL"):
        timers.from_environ({"RAFT_SIM_POLL": text})


def test_a_hint_stays_on_disk_until_it_is_forgotten(tmp_path: Path) -> None:
    state = BridgeState(tmp_path)
    assert state.session() == (None, None) and state.hints() == []
    for seq in (2, 1, 2):
        state.keep({**hint(seq), "content": "secret"})
    state.forget(hint(1))
    state.write_session("core_1", 2)
    again = BridgeState(tmp_path)
    assert (again.hints(), again.session()) == ([hint(2)], ("core_1", 2))
    state.write_session("core_1", None)
    assert again.session() == ("core_1", None)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, "msg-1"),
        ({"message_id": None}, "wake-hint:1"),
        ({"message_id": None, "event_id": ""}, "seq:1"),
        ({"message_id": None, "event_id": "", "seq": 0, "target": "#a"}, "target:#a"),
        (
            {"message_id": "", "event_id": "", "seq": 0},
            'wake-hint:{"event_id":"","message_id":"","seq":0}',
        ),
    ],
)
def test_a_wake_names_what_its_hint_has(changed: dict[str, object], named: str) -> None:
    assert message_id({**hint(1), **changed}) == named


def test_comments_make_no_event_and_half_an_event_waits() -> None:
    parser = Parser()
    parser.feed(b': ka\n\nevent: wake-hint\r\nid: 3\ndata: {"a":\ndata: 1}\n\nevent: wake')
    assert parser.next() == Event("wake-hint", '{"a":\n1}', "3")
    assert parser.next() is None
    parser.feed(b"-hint\ndata: x\n\n")
    assert parser.next() == Event("wake-hint", "x")


def test_drained_events_lose_their_detail_and_are_bounded() -> None:
    good, rejected = sanitized(
        [
            {"hookEventName": "PreToolUse", "detail": "d", "status": "working", "eventId": "e"},
            {"hook_event_name": " Stop ", "toolOutput": "x" * 5000, "durationMs": 1.9},
            {"status": "working"},
            "nonsense",
        ]
    )
    assert rejected == 2
    first, second = good
    assert (first["eventId"], first["status"], "detail" in first) == ("e", "working", False)
    assert (second["hookEventName"], second["durationMs"]) == ("Stop", 1)
    assert len(second["toolOutput"]) == 4096 and second["toolOutputTruncated"] is True


def test_drained_events_may_be_in_snake_case() -> None:
    [event] = sanitized(
        [
            {
                "hookEventName": None,
                "hook_event_name": "PostToolUse",
                "event_id": "e",
                "session_id": "s",
                "tool_name": "Read",
                "error_class": "C",
                "occurred_at": "2026-11-26T08:00:00Z",
                "duration_ms": 2.5,
                "tool_input": {"a": ["ü"]},
                "truncated": True,
            }
        ]
    )[0]
    assert event == {
        "schema": "raft-activity.v1",
        "eventId": "e",
        "sessionId": "s",
        "hookEventName": "PostToolUse",
        "toolName": "Read",
        "errorClass": "C",
        "occurredAt": "2026-11-26T08:00:00.000Z",
        "durationMs": 2,
        "toolInput": '{"a":["ü"]}',
        "toolInputTruncated": True,
    }


@pytest.mark.parametrize(
    ("url", "drain"),
    [
        ("http://127.0.0.1:7/wake?x=1#y", "http://127.0.0.1:7/activity/drain"),
        ("127.0.0.1:7/wake", None),
        ("http://h:70000/wake", None),
        ("", None),
        (None, None),
    ],
)
def test_activity_is_read_beside_the_wake_endpoint(url: str | None, drain: str | None) -> None:
    assert derived_drain(url) == drain


@pytest.mark.parametrize(
    ("told", "sent"),
    [
        ("2026-11-26T08:00:00Z", "2026-11-26T08:00:00.000Z"),
        ("2026-11-26T09:00:00.250+01:00", "2026-11-26T08:00:00.250Z"),
    ],
)
def test_a_drained_events_time_is_written_as_the_cli_does(told: str, sent: str) -> None:
    [event] = sanitized([{"hookEventName": "Stop", "occurredAt": told}])[0]
    assert event["occurredAt"] == sent


def test_a_time_that_is_none_becomes_now() -> None:
    [event] = sanitized([{"hookEventName": "Stop", "occurredAt": "at noon"}])[0]
    assert event["occurredAt"].startswith("20") and event["occurredAt"].endswith("Z")


def test_a_fault_word_has_kind_value_and_delay() -> None:
    assert bridge_faults.parse("exit:0@1.5") == bridge_faults.FaultSpec("exit", 0, 1.5)
    with pytest.raises(ValueError, match="write one of"):
        bridge_faults.parse("sulk")


def printed(*messages: tuple[str, str]) -> str:
    return "".join(
        f"[target=#g msg={name} time=2026-11-26 08:00:00Z type=human] @ann: {text}\n"
        for name, text in messages
    )


def test_the_agent_answers_each_journal_entry_once_and_skips_torn_lines() -> None:
    journal = printed(("m1", "one"), ("m2", "to")) + "[target=#g msg=m3 ti\n"
    journal += printed(("m2", "two\nlines"))
    journal += "\nNo more new inbox messages.\nNo new inbox messages.\n"
    [left] = unanswered(journal, "m1 7\n")
    assert (left.id, left.target, left.text) == ("m2", "#g", "two\nlines")


def test_a_folder_that_was_removed_is_made_anew_for_its_owner_alone(tmp_path: Path) -> None:
    state = BridgeState(tmp_path / "a" / "b")
    shutil.rmtree(tmp_path / "a")
    assert state.session() == (None, None)
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
