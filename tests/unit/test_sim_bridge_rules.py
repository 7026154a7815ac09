"""The bridge's pure rules: its lock, its schedule, its back-off, its stream, its ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raftsup.sim import bridge_faults, lock, schedule, timers
from raftsup.sim.agent import unanswered
from raftsup.sim.bridge_state import BridgeState, Hint
from raftsup.sim.schedule import Due
from raftsup.sim.stream import Event, split_events

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
    assert timers.from_environ({"RAFT_SIM_HEARTBEAT": "0.3"}) == TIMES._replace(heartbeat=0.3)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan"])
def test_a_timer_that_is_no_positive_number_is_refused(text: str) -> None:
    with pytest.raises(timers.BadTimer, match="RAFT_SIM_RETRY"):
        timers.from_environ({"RAFT_SIM_RETRY": text})


def history(plan: schedule.Schedule, until: float) -> list[tuple[float, Due]]:
    """What falls due up to ``until``, and when."""
    happened = []
    while (now := plan.next_at(TIMES)) <= until:
        what, plan = schedule.due(plan, now, TIMES)
        if what not in (None, Due.HEARTBEAT):
            happened.append((now, what))
    return happened


def test_nothing_delivered_means_reconciliation_only() -> None:
    assert history(schedule.begin(0, TIMES), 250) == [(120, Due.PENDING), (240, Due.PENDING)]


@pytest.mark.parametrize(("at", "follow_up"), [(1, 25), (22, 25), (22.5, 50), (24, 50)])
def test_a_delivery_comes_again_at_the_first_heartbeat_3_seconds_later(
    at: float, follow_up: float
) -> None:
    plan = schedule.delivered(schedule.begin(0, TIMES), at)
    assert history(plan, 130) == [(follow_up, Due.PENDING), (120, Due.PENDING)]


def test_a_failed_hint_comes_again_after_4_seconds_and_then_with_reconciliation() -> None:
    plan = schedule.failed(schedule.begin(0, TIMES), 1)
    assert history(plan, 250) == [(5, Due.FAILED), (120, Due.PENDING), (240, Due.PENDING)]


def test_a_hint_stays_in_the_ledger_until_it_is_forgotten(tmp_path: Path) -> None:
    state = BridgeState(tmp_path)
    for seq in (2, 1):
        state.begin(hint(seq))
        state.saw(seq)
    state.forget(hint(1))
    again = BridgeState(tmp_path)
    assert (again.open_hints(), again.last_seen) == ([hint(2)], 2)
    assert again.core_session_id == state.core_session_id


def test_comments_make_no_event_and_half_an_event_waits() -> None:
    wire = b': ka\n\nevent: wake-hint\nid: 3\ndata: {"a":1}\n\nevent: wake'
    assert split_events(wire) == ([Event("wake-hint", '{"a":1}')], b"event: wake")


def test_a_fault_word_has_kind_value_and_delay() -> None:
    assert bridge_faults.parse("exit:0@1.5") == bridge_faults.FaultSpec("exit", 0, 1.5)
    with pytest.raises(ValueError, match="write one of"):
        bridge_faults.parse("sulk")


def test_the_agent_answers_each_journal_entry_once_and_skips_torn_lines() -> None:
    one, two = ({"message_id": m, "target": "#g", "text": m} for m in ("m1", "m2"))
    lines = [json.dumps(one), '{"message_id": "m', "", json.dumps(two), json.dumps(two)]
    journal = "\n".join(lines)
    assert unanswered(journal, "m1\n") == [two]
