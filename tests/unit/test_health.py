"""What ``raftsup health`` makes of a status."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from raftsup.ops.health import Word, judge
from raftsup.ops.status.account_state import AccountState

STATES = st.lists(st.sampled_from(list(AccountState)))


NOON = 1_800_000_000.0


def status(states: list[AccountState], pid: int | None = 1, grace: float | None = None) -> Any:
    more = {"reason": "why", "endpoint": {"pid": None}, "bridge": {"graceUntil": grace}}
    return {
        "supervisor": {"pid": pid},
        "dispatcher": {"state": "running"},
        "config": None,
        "at": NOON,
        "accounts": [{"account": f"a{n}", "state": str(s), **more} for n, s in enumerate(states)],
    }


@given(STATES, st.sampled_from([None, NOON - 1, NOON + 1]))
def test_a_host_is_ok_only_if_an_account_is_enabled_and_all_that_are_are_ready(
    states: list[AccountState], grace: float | None
) -> None:
    wanted = [s for s in states if s is not AccountState.DISABLED]
    health = judge(status(states, grace=grace))
    # One that was restarted a moment ago counts as well, for a moment.
    good = {AccountState.READY, *([AccountState.CONNECTING] if grace == NOON + 1 else [])}
    well = bool(wanted) and all(s in good for s in wanted)
    assert (health.word is Word.OK) == well
    assert health.accounts == len(wanted)
    assert health.ready == wanted.count(AccountState.READY)
    assert len(health.connecting) == (
        wanted.count(AccountState.CONNECTING) if grace == NOON + 1 else 0
    )
    assert (health.worst is None) == (well or not wanted)
    assert "\n" not in health.line


def test_the_worst_account_is_named() -> None:
    states = [AccountState.READY, AccountState.STARTING, AccountState.DOWN, AccountState.DEGRADED]
    assert judge(status(states)).line == "not ready: 1 of 4 accounts ready; a2 is down: why"


def test_a_host_that_could_not_start_again_what_dies_is_not_well() -> None:
    whole = status([AccountState.READY])
    whole["supervisor"] |= {"state": "hung", "reason": "pid 1 is stopped by a signal"}
    health = judge(whole)
    assert health.word is Word.NOT_READY
    assert "the parent" in health.line and "pid 1 is stopped by a signal" in health.line


def test_one_that_connects_after_a_restart_is_not_called_ready() -> None:
    states = [AccountState.READY, AccountState.CONNECTING]
    assert judge(status(states, grace=NOON + 1)).line == (
        "ok: 1 of 2 accounts ready; a1 connects after a restart"
    )


def test_a_host_that_drains_or_ends_is_not_ok_though_each_account_is() -> None:
    draining = status([AccountState.READY])
    draining["dispatcher"] = {"state": "draining"}
    assert judge(draining).word is Word.NOT_READY
    assert judge(draining).line == (
        "not ready: the host drains: running turns end, no wake is accepted and no turn started;"
        " 1 of 1 account ready"
    )
    ending = status([AccountState.READY])
    ending["supervisor"] = {"pid": 1, "state": "stopping", "reason": "it stops"}
    assert judge(ending).line.startswith("not ready: the host ends: it stops")


def test_a_reason_cannot_break_the_line_or_move_a_terminal() -> None:
    whole = status([AccountState.DEGRADED])
    whole["accounts"][0]["reason"] = "bridge exited (\x1b[2J)\nok: 1 of 1 account ready"
    assert judge(whole).line.isprintable()


@given(STATES)
def test_where_neither_a_host_nor_a_worker_runs_nothing_else_is_said(
    states: list[AccountState],
) -> None:
    assert judge(status(states, None)).word is Word.NOT_RUNNING
    alone = status([AccountState.READY], None)
    alone["accounts"][0]["endpoint"]["pid"] = 5
    assert judge(alone).word is Word.OK
