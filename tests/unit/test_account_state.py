"""An account's state in one word, from what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.config.model import Account, CommandAgent
from raftsup.ops.status.account_state import AccountState, Found, grace_until, judge
from raftsup.worker.bridge.state import BridgeState

ACCOUNT = Account(
    id="support", enabled=True, profile="support", agent_id="a", command=("raft",),
    agent=CommandAgent(("true",)), lane="support",
)  # fmt: skip
WELL = Found(
    process="running", worker=True, answers=True, bridge="listening", bridge_alive=True,
    dispatcher=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        (WELL, "ready", ""),
        (replace(WELL, process=None), "ready", ""),
        (replace(WELL, dispatcher=False), "degraded", "dispatcher is down"),
        (replace(WELL, dispatcher=False, dispatcher_comes=True), "starting", "just been started"),
        (replace(WELL, bridge_alive=False), "degraded", "just died"),
        (replace(WELL, lane="lane support is paused"), "degraded", "lane support is paused"),
        (replace(WELL, full=True), "degraded", "the ledger is full"),
        (replace(WELL, writer_stopped=7, full=True), "degraded", "`kill -CONT 7`"),
        (replace(WELL, writer_stopped=7, dispatcher_stopped=7), "degraded", "wakes are refused"),
        (replace(WELL, failed="turn 7 failed"), "degraded", "turn 7 failed"),
        (replace(WELL, lane="it rests", failed="7 failed"), "degraded", "it rests; 7 failed"),
        (replace(WELL, answers=False), "degraded", "does not answer"),
        (replace(WELL, answers=False, process="starting"), "starting", "does not listen yet"),
        (replace(WELL, answers=False, stopped=7), "degraded", "the worker (pid 7) is stopped"),
        (
            replace(WELL, answers=False, reported=False),
            "degraded",
            "`raftsup ctl restart accounts:support`",
        ),
        (
            replace(WELL, bridge_alive=False, bridge_stopped=8),
            "degraded",
            "the bridge (pid 8) is stopped by a signal; `kill -CONT 8` lets it go on",
        ),
        (replace(WELL, bridge="silent", bridge_stopped=8), "degraded", "`kill -CONT 8`"),
        (replace(WELL, dispatcher=False, dispatcher_stopped=9), "degraded", "`kill -CONT 9`"),
        (replace(WELL, bridge="connecting", reason="up to 25 s"), "connecting", "up to 25 s"),
        (replace(WELL, bridge="connecting", bridge_alive=False), "degraded", "just died"),
        (replace(WELL, bridge="silent", reason="no word"), "degraded", "no word"),
        (replace(WELL, bridge="waiting", reason="exited with 1"), "degraded", "exited with 1"),
        (replace(WELL, bridge="missing", reason="install it"), "degraded", "install it"),
        (replace(WELL, bridge="blocked", reason="pid 7"), "degraded", "pid 7"),
        (replace(WELL, bridge="revoked"), "degraded", "the bridge is revoked"),
        (replace(WELL, bridge="degraded"), "degraded", "the bridge is degraded"),
        (Found(process="running"), "starting", "just been started"),
        (Found(process="backoff", remark="exit status 9"), "down", "exit status 9"),
        (Found(process="stopped"), "down", "stopped"),
        (Found(process="fatal"), "down", "fatal"),
        (Found(process="absent"), "down", "raftsup reload"),
        (Found(), "down", "no worker runs"),
    ],
)
def test_each_finding_has_its_state_and_reason(found: Found, state: str, reason: str) -> None:
    word, why = judge(ACCOUNT, found)
    assert word == state
    assert reason in why


@pytest.mark.parametrize("found", [WELL, Found()])
def test_a_disabled_account_is_disabled_whatever_runs(found: Found) -> None:
    for problem in (None, "no profile"):
        account = replace(ACCOUNT, enabled=False, problem=problem)
        assert judge(account, found)[0] is AccountState.DISABLED


def test_a_misconfigured_account_tells_the_configs_own_reason() -> None:
    account = replace(ACCOUNT, problem="accounts.support.profile is not set")
    assert judge(account, WELL) == (AccountState.MISCONFIGURED, account.problem)


FOUND = st.builds(
    Found,
    process=st.sampled_from([None, "running", "starting", "backoff", "stopped", "absent"]),
    worker=st.booleans(),
    answers=st.booleans(),
    bridge=st.sampled_from([str(state) for state in BridgeState]),
    reason=st.sampled_from(["", "why"]),
    bridge_alive=st.booleans(),
    dispatcher=st.booleans(),
)


@given(FOUND)
def test_ready_needs_every_link_of_the_chain_and_all_else_has_a_reason(found: Found) -> None:
    state, _ = judge(ACCOUNT, found)
    chain = (found.worker, found.answers, found.bridge_alive, found.dispatcher)
    if state is AccountState.READY:
        assert all(chain)
        assert found.bridge == "listening"
    else:
        assert not all(chain) or found.bridge != "listening"
    whole = replace(found, reason="why")
    assert bool(judge(ACCOUNT, whole)[1]) is (judge(ACCOUNT, whole)[0] is not AccountState.READY)


NOON = 1_800_000_000.0


@pytest.mark.parametrize(
    ("bridge", "until"),
    [
        ({"state": "connecting", "since": NOON, "listenedAt": NOON - 5, "failures": 1}, NOON + 30),
        ({"state": "connecting", "since": NOON, "listenedAt": NOON - 5, "failures": 0}, NOON + 30),
        # It keeps dying, or never listened, or not lately.
        ({"state": "connecting", "since": NOON, "listenedAt": NOON - 5, "failures": 2}, None),
        ({"state": "connecting", "since": NOON, "listenedAt": 0.0, "failures": 0}, None),
        ({"state": "connecting", "since": NOON, "listenedAt": NOON - 300, "failures": 1}, None),
        ({"state": "waiting", "since": NOON, "listenedAt": NOON - 5, "failures": 1}, None),
        ({"state": "silent", "since": NOON, "listenedAt": NOON - 5, "failures": 0}, None),
        ({}, None),
    ],
)
def test_a_bridge_that_connects_again_is_given_time_only_if_it_was_well(
    bridge: dict[str, Any], until: float | None
) -> None:
    assert grace_until(bridge) == until
