"""Why a lane starts nothing, by what its dispatcher says."""

from __future__ import annotations

import time
from typing import Any

import pytest

from raftsup.config.model import Account, CommandAgent
from raftsup.ops.status.collect import _lane_note

ACCOUNT = Account("a", True, "p", None, ("raft",), CommandAgent(("true",)), "shared")


def told(due: float | None, lane: str = "shared") -> Any:
    turn = {"turn": 7, "account": "b", "lane": lane, "attempt": 1, "startedAt": 1.0, "dueAt": due}
    return {"unavailable": {}, "running": [turn], "lanes": {}}


@pytest.mark.parametrize(
    ("ago", "lane", "overdue"),
    [(100.0, "shared", True), (100.0, "other", False), (5.0, "shared", False),
     (-100.0, "shared", False), (None, "shared", False)],
)  # fmt: skip
def test_a_turn_that_outlasts_its_end_is_told_beside_each_account_of_its_lane(
    ago: float | None, lane: str, overdue: bool
) -> None:
    note = _lane_note(ACCOUNT, told(None if ago is None else time.time() - ago, lane))
    assert note.startswith("turn 7 of its lane should have been ended") == overdue
    assert bool(note) == overdue
