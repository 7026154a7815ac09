"""What ``raftsup health`` makes of a status."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from raftsup.ops.health import Word, judge
from raftsup.ops.status.account_state import AccountState

STATES = st.lists(st.sampled_from(list(AccountState)))


def status(states: list[AccountState], pid: int | None = 1) -> dict[str, Any]:
    return {
        "supervisor": {"pid": pid},
        "accounts": [
            {"account": f"a{n}", "state": str(s), "reason": "why", "endpoint": {"pid": None}}
            for n, s in enumerate(states)
        ],
    }


@given(STATES)
def test_a_host_is_ok_only_if_an_account_is_enabled_and_all_that_are_are_ready(
    states: list[AccountState],
) -> None:
    wanted = [s for s in states if s is not AccountState.DISABLED]
    health = judge(status(states))
    well = bool(wanted) and all(s is AccountState.READY for s in wanted)
    assert (health.word is Word.OK) == well
    assert health.accounts == len(wanted)
    assert (health.worst is None) == (well or not wanted)
    assert "\n" not in health.line


def test_the_worst_account_is_named() -> None:
    states = [AccountState.READY, AccountState.STARTING, AccountState.DOWN, AccountState.DEGRADED]
    assert judge(status(states)).line == "not ready: 1 of 4 accounts are ready; a2 is down: why"


def test_a_reason_cannot_break_the_line_or_move_a_terminal() -> None:
    whole = status([AccountState.DEGRADED])
    whole["accounts"][0]["reason"] = "bridge exited (\x1b[2J)\nok: 1 of 1 accounts are ready"
    assert judge(whole).line.isprintable()


@given(STATES)
def test_where_neither_a_host_nor_a_worker_runs_nothing_else_is_said(
    states: list[AccountState],
) -> None:
    assert judge(status(states, None)).word is Word.NOT_RUNNING
    alone = status([AccountState.READY], None)
    alone["accounts"][0]["endpoint"]["pid"] = 5
    assert judge(alone).word is Word.OK
