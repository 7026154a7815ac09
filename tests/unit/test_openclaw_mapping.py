"""How a Gateway's word for a run's end becomes ours."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.runners.openclaw import mapping
from raftsup.turn import Outcome, OutcomeKind

ABORTED = Outcome(OutcomeKind.CANCELLED, "somebody aborted the run at the Gateway")


@pytest.mark.parametrize(
    ("wait", "outcome"),
    [
        ({"status": "ok", "stopReason": "stop"}, Outcome(OutcomeKind.SUCCEEDED)),
        (
            {"status": "error", "error": "mock/mock answered 401"},
            Outcome(OutcomeKind.FAILED, "the Gateway's run failed: mock/mock answered 401"),
        ),
        ({"status": "error"}, Outcome(OutcomeKind.FAILED, "the Gateway's run failed: error")),
        ({"status": "error", "endedAt": 1, "stopReason": "rpc"}, ABORTED),
        ({"status": "timeout", "endedAt": 1, "stopReason": "aborted"}, ABORTED),
        ({"status": "aborted"}, ABORTED),
        (
            {"status": "error", "stopReason": "superseded"},
            Outcome(OutcomeKind.FAILED, "another run took the session over at the Gateway"),
        ),
        (
            {"status": "timeout", "endedAt": 1},
            Outcome(OutcomeKind.TIMED_OUT, "the Gateway ended the run at a time limit"),
        ),
        (
            {"status": "timeout", "endedAt": 1, "timeoutPhase": "provider"},
            Outcome(
                OutcomeKind.TIMED_OUT, "the Gateway ended the run at a time limit (while provider)"
            ),
        ),
    ],
)
def test_an_end_becomes_its_outcome(wait: dict[str, Any], outcome: Outcome) -> None:
    assert mapping.of_wait(wait) == outcome


@given(st.text(), st.text(), st.text())
def test_nothing_but_ok_is_a_success(status: str, error: str, stop: str) -> None:
    kind = mapping.outcome_of(status, error=error, stop_reason=stop).kind
    assert (kind is OutcomeKind.SUCCEEDED) == (status == "ok")


@given(st.text(max_size=500))
def test_a_reason_is_one_printable_line(error: str) -> None:
    reason = mapping.outcome_of("error", error=error).reason
    assert reason.isprintable() and len(reason) < 400


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        ({"terminalReply": {"disposition": "visible", "text": "done"}}, "done"),
        ({"terminalReply": {"disposition": "silent"}}, ""),
        ({"terminalReply": "done"}, ""),
        ({}, ""),
    ],
)
def test_the_text_is_that_of_the_final_reply(wait: dict[str, Any], text: str) -> None:
    assert mapping.text_of(wait) == text


@pytest.mark.parametrize(
    "error", ["another OpenClaw process owns state-lifecycle", "Agent database cleanup failed"]
)
def test_a_run_that_the_gateway_could_not_begin_costs_no_attempt(error: str) -> None:
    told = mapping.outcome_of("error", error=error)
    assert told.kind is OutcomeKind.POSTPONED
    assert "cannot begin" in told.reason
