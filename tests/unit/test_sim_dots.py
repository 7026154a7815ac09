"""What the simulated server makes of reported activity (raft-agent-status.v1)."""

from __future__ import annotations

from typing import Any

import pytest

from raftsup.sim.presence import BadReport
from raftsup.sim.workspace import Workspace

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


@pytest.fixture
def workspace() -> Workspace:
    made = Workspace(clock=lambda: NOW)
    made.add_agent("support")
    return made


def event(id: str, second: int, status: str, **more: Any) -> dict[str, Any]:
    at = f"2027-01-15T07:00:{second:02d}.500Z"
    return {"eventId": id, "occurredAt": at, "hookEventName": "Stop", "status": status, **more}


def test_the_newest_report_is_the_dot_in_whatever_order_they_arrive(workspace: Workspace) -> None:
    assert workspace.dots() == {}
    reports = [event("b", 2, "working", detail="execute"), event("a", 1, "online")]
    assert workspace.ingest("agent-support", reports) == 2
    dot = workspace.dots()["support"]
    assert (dot.status, dot.detail, dot.at) == ("working", "execute", NOW - 3597.5)


def test_a_report_from_the_future_counts_as_one_of_now(workspace: Workspace) -> None:
    workspace.ingest(
        "agent-support", [event("a", 1, "error", occurredAt="2030-01-01T00:00:00.000Z")]
    )
    assert workspace.dots()["support"].at == NOW


def test_an_event_counts_once_and_a_report_without_id_or_time_not_at_all(
    workspace: Workspace,
) -> None:
    batch = [
        event("a", 1, "thinking"),
        event("a", 2, "online"),
        event("", 3, "online"),
        event("b", 4, "online", occurredAt="soon"),
        {"hookEventName": "Stop"},
    ]
    assert workspace.ingest("agent-support", batch) == 2
    assert workspace.dots()["support"].status == "thinking"


def test_the_outcome_of_a_hook_is_no_report_of_a_status(workspace: Workspace) -> None:
    assert workspace.ingest("agent-support", [event("a", 1, "failed")]) == 1
    assert workspace.dots() == {}


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"status": "busy"}, "status_invalid"),
        ({"detail": 7}, "detail_invalid"),
        ({"detail": "x" * 201}, "detail_too_long"),
    ],
)
def test_a_report_that_makes_no_sense_has_its_whole_request_refused(
    workspace: Workspace, bad: dict[str, Any], code: str
) -> None:
    batch = [event("a", 1, "online"), event("b", 2, "online") | bad]
    with pytest.raises(BadReport, match=code):
        workspace.ingest("agent-support", batch)
    assert (workspace.activity(), workspace.dots()) == ([], {})
