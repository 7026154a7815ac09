"""What a person, and the service manager, are told of a config that differs and of a drain."""

from __future__ import annotations

from typing import Any

import pytest

from raftsup.ops import reload
from raftsup.supervisor.sd_notify import Phase, Sent, Snapshot, messages


def config(state: str, **more: Any) -> Any:
    return {"state": state, "problems": [], "changes": [], "next": "", **more}


def test_a_config_that_is_applied_or_not_known_takes_no_line() -> None:
    assert reload.standing_lines(None) == reload.standing_lines(config("applied")) == []


def test_the_first_problems_of_a_refused_file_are_told_whole() -> None:
    problems = [{"where": f"f: a{i}", "what": "unknown key", "hint": "drop it"} for i in range(5)]
    lines = reload.standing_lines(config("refused", problems=problems))
    assert lines[0].startswith("refused: the running config is kept")
    assert lines[1:] == [f"f: a{i}: unknown key; drop it" for i in range(3)] + ["and 2 more"]


def test_a_difference_is_told_with_what_applies_it() -> None:
    changes = [{"path": "ledger.mapSize", "takes": "host"}]
    found = config("differs", changes=changes, next="raftsup restart")
    assert reload.standing_lines(found) == [
        "differs from the file: `raftsup restart` applies it", "ledger.mapSize (host)",
    ]  # fmt: skip
    assert reload.standing_lines(config("differs")) == ["is being applied"]
    changed = config("changed", problems=[{"where": "f", "what": "w", "hint": "h"}])
    assert reload.standing_lines(changed) == ["changed, not loaded yet"]


@pytest.mark.parametrize("host", [True, False])
def test_a_plan_says_for_each_program_what_would_happen(host: bool) -> None:
    plan = {
        "running": True, "host": host, "added": ["accounts:a"], "removed": ["accounts:b"],
        "restarted": ["accounts:c"], "resting": ["accounts:d"],
        "changes": [{"path": "x", "takes": "live"}, {"path": "y", "takes": "host"}],
    }  # fmt: skip
    lines = reload.plan_lines(plan)
    if host:
        assert lines == ["the whole host would drain and restart: x, y"]
    else:
        assert lines == [
            "accounts:b: would be removed", "accounts:c: would be restarted",
            "accounts:d: would have new settings, and stay stopped",
            "accounts:a: would be added", "without a restart, from the next turn on: x",
            "not by a reload, only by `raftsup restart`: y",
        ]  # fmt: skip


def test_a_service_manager_that_counts_stops_is_not_told_of_a_drain_as_one() -> None:
    sent = Sent(0.0, ready=True)
    lines, sent = messages(Snapshot(Phase.DRAINING, 3, []), sent, 1.0, watchdog=4.0)
    assert lines == ["STATUS=draining: 3 programs still run", "WATCHDOG=1"]
    assert "STOPPING=1" in messages(Snapshot(Phase.STOPPING, 3, []), sent, 2.0, 4.0)[0]
