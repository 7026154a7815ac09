"""The life of a bridge: what each thing it says or does makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.backoff import Backoff
from raftsup.worker import bridge_life
from raftsup.worker.bridge_life import HINTS, LIFECYCLE, BridgeState, Life

RUNNING = {
    BridgeState.STARTING,
    BridgeState.REPLAYING,
    BridgeState.LISTENING,
    BridgeState.DEGRADED,
    BridgeState.REVOKED,
}
#: Long after the epoch, so that no time is taken for "never".
NOON = 1_800_000_000.0


def start(life: Life, pid: int = 7) -> Life:
    return bridge_life.started(life, pid)


def lifecycle(life: Life, state: object, at: float = NOON) -> Life:
    return bridge_life.said(life, {"type": "agent_comms.lifecycle", "state": state}, at)


def end(
    life: Life, stderr: str = "", at: float = NOON, how: str = "exited with 1"
) -> tuple[Life, float]:
    return bridge_life.ended(
        life, exit_text=how, stderr=stderr, profile="support", now=at, random=0.0
    )


def after(*words: str) -> Life:
    """The life after a start and these lifecycle states."""
    life = start(Life())
    for word in words:
        life = lifecycle(life, word)
    return life


@pytest.mark.parametrize(
    ("words", "state", "reason"),
    [
        ((), "starting", "waiting for the bridge to connect"),
        (("starting",), "starting", "waiting for the bridge to connect"),
        (("connected_replaying",), "replaying", "the bridge says connected_replaying"),
        (("connected_replaying", "listening_idle"), "listening", ""),
        (("listening_idle", "handoff_pending"), "listening", ""),
        (
            ("listening_idle", "degraded_backoff"),
            "degraded",
            "the bridge says degraded_backoff: it cannot reach Raft, and tries again by itself",
        ),
        (("listening_idle", "degraded_backoff", "listening_idle"), "listening", ""),
        (
            ("auth_revoked",),
            "revoked",
            "the bridge says auth_revoked: its profile must be signed in again",
        ),
    ],
)
def test_each_lifecycle_word_has_its_state_and_reason(
    words: Sequence[str], state: str, reason: str
) -> None:
    life = after(*words)
    assert (str(life.state), life.reason) == (state, reason)


@pytest.mark.parametrize("state", BridgeState)
def test_only_a_listening_bridge_is_healthy(state: BridgeState) -> None:
    assert Life(state=state).healthy is (state is BridgeState.LISTENING)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "reconcile_peek"},
        {"type": "agent_comms.lifecycle", "state": "a_state_of_next_year"},
        {"type": "agent_comms.lifecycle", "state": None},
        {"type": "agent_comms.lifecycle", "state": ["listening_idle"]},
        {"type": "agent_comms.lifecycle", "state": {"listening_idle": 1}},
        {"type": "bridge_fatal"},
        {"type": "bridge_fatal", "errorCode": 17},
        {"type": ["bridge_fatal"], "errorCode": "AUTH_REVOKED"},
        {"state": 3},
    ],
)
@pytest.mark.parametrize("words", [(), ("listening_idle",), ("degraded_backoff",)])
def test_an_unknown_event_changes_nothing(event: dict[str, Any], words: Sequence[str]) -> None:
    life = after(*words)
    assert bridge_life.said(life, event, NOON + 1) == life


def test_what_a_bridge_said_before_it_runs_or_after_its_end_counts_for_nothing() -> None:
    assert lifecycle(Life(), "listening_idle") == Life()
    ended, _ = end(after("listening_idle"))
    assert lifecycle(ended, "listening_idle") == ended


def test_a_repeated_word_does_not_restart_the_healthy_spell() -> None:
    life = lifecycle(start(Life()), "listening_idle", at=NOON)
    assert lifecycle(life, "handoff_pending", at=NOON + 5).listening_since == NOON


def test_delays_grow_to_the_cap() -> None:
    life, delays = Life(), []
    for _ in range(12):
        life, delay = end(start(life))
        delays.append(delay)
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays == sorted(delays)
    assert delays[-1] == bridge_life.QUICK.cap


def test_a_healthy_spell_makes_the_next_death_the_first_again() -> None:
    life = Life()
    for _ in range(5):
        life, delay = end(start(life))
    assert delay > bridge_life.QUICK.base
    life = lifecycle(start(life), "listening_idle", at=NOON)
    life, delay = end(life, at=NOON + bridge_life.HEALTHY)
    assert (life.failures, delay) == (1, bridge_life.QUICK.base)


@pytest.mark.parametrize(
    ("word", "spell"),
    [("listening_idle", bridge_life.HEALTHY - 1), ("degraded_backoff", bridge_life.HEALTHY * 10)],
)
def test_a_spell_too_short_or_not_healthy_proves_nothing(word: str, spell: float) -> None:
    life, _ = end(start(Life()))
    life = lifecycle(start(life), word, at=NOON)
    life, _ = end(life, at=NOON + spell)
    assert life.failures == 2


def test_restarts_count_the_starts_after_the_first() -> None:
    life = start(Life())
    assert life.restarts == 0
    life = start(end(life)[0])
    assert life.restarts == 1
    life = start(bridge_life.not_started(end(life)[0], "raft: gone", 0.0, 0.0)[0])
    assert life.restarts == 2


@pytest.mark.parametrize("code", HINTS)
@pytest.mark.parametrize("told", ["stdout", "stderr"])
def test_what_only_a_person_can_mend_has_a_hint_and_is_tried_slowly(code: str, told: str) -> None:
    life, stderr = start(Life()), ""
    if told == "stdout":
        life = bridge_life.said(life, {"type": "bridge_fatal", "errorCode": code}, NOON)
    else:
        stderr = f"Error: no\nCode: {code}"
    life, delay = end(life, stderr)
    assert code in life.reason
    assert HINTS[code].format(profile="support") in life.reason
    assert "{" not in life.reason
    assert delay == bridge_life.SLOW.base


def test_a_code_that_only_people_are_told_is_named_with_where_its_words_are() -> None:
    life, delay = end(start(Life()), "Error: Unexpected error: terminated\nCode: INTERNAL_BUG")
    assert "(INTERNAL_BUG); `raftsup logs` has its last words; next start at" in life.reason
    assert delay == bridge_life.QUICK.base


def test_an_unknown_code_is_named_and_tried_again_soon() -> None:
    life = bridge_life.said(
        start(Life()), {"type": "bridge_fatal", "errorCode": "OUT_OF_TEA"}, NOON
    )
    life, delay = end(life)
    assert "OUT_OF_TEA" in life.reason
    assert delay == bridge_life.QUICK.base


def test_a_code_of_an_earlier_run_does_not_explain_a_later_death() -> None:
    life = bridge_life.said(
        start(Life()), {"type": "bridge_fatal", "errorCode": "AUTH_REVOKED"}, NOON
    )
    life, _ = end(start(end(life)[0]))
    assert "AUTH_REVOKED" not in life.reason


def test_the_last_exit_and_the_last_words_are_kept_through_a_restart() -> None:
    life, _ = end(start(Life()), "Error: terminated", how="killed by SIGSEGV")
    again = start(life)
    assert (again.last_exit, again.last_error) == ("killed by SIGSEGV", "Error: terminated")
    silent, _ = end(again, "", how="exited with 3")
    assert (silent.last_exit, silent.last_error) == ("exited with 3", "Error: terminated")


def test_a_missing_cli_says_how_to_install_and_verify_it() -> None:
    life, delay = bridge_life.not_started(Life(), "raft: No such file or directory", 0.0, 0.0)
    assert life.state is BridgeState.MISSING
    assert "npm i -g @botiverse/raft" in life.reason
    assert "raft --help" in life.reason
    assert delay == bridge_life.SLOW.base


MOVES = st.one_of(
    st.tuples(st.just("start"), st.integers(1, 1 << 22)),
    st.tuples(
        st.just("say"),
        st.dictionaries(
            st.sampled_from(["type", "event", "state", "errorCode", "pid", "healthy"]),
            st.one_of(
                st.sampled_from([*LIFECYCLE, *HINTS, "bridge_fatal", "agent_comms.lifecycle"]),
                st.none(),
                st.integers(),
                st.text(max_size=5),
                st.lists(st.text(max_size=3), max_size=2),
            ),
        ),
    ),
    st.tuples(st.just("end"), st.sampled_from(["", "Code: AUTH_REVOKED", "panic {x} %s"])),
    st.tuples(st.just("cannot"), st.text(max_size=10)),
    st.tuples(st.just("stop"), st.none()),
)


@given(st.lists(st.tuples(MOVES, st.floats(0, 100)), max_size=40), st.floats(0, 0.999))
def test_any_history_leaves_a_life_that_makes_sense(
    history: list[tuple[tuple[str, Any], float]], random: float
) -> None:
    life, now = Life(), NOON
    for (move, what), later in history:
        now += later
        delay: float | None = None
        match move:
            case "start":
                life = bridge_life.started(life, what)
            case "say":
                life = bridge_life.said(life, what, now)
            case "end":
                life, delay = bridge_life.ended(
                    life, exit_text="exited with 1", stderr=what, profile="p", now=now,
                    random=random,
                )  # fmt: skip
            case "cannot":
                life, delay = bridge_life.not_started(life, what, 0.0, random)
            case "stop":
                life = bridge_life.stopped(life)
        assert (life.pid is not None) == (life.state in RUNNING)
        assert not (life.healthy and life.pid is None)
        assert (life.listening_since > 0) == life.healthy
        assert bool(life.reason) is not life.healthy
        assert life.restarts == max(0, life.starts - 1)
        if delay is not None:
            assert 0 < delay <= max(bridge_life.QUICK.cap, bridge_life.SLOW.cap)


@given(st.integers(-5, 10_000), st.floats(0, 0.999))
def test_a_back_off_is_never_negative_nor_above_its_cap(failures: int, random: float) -> None:
    rule = Backoff(base=0.25, cap=60.0)
    delay = rule.delay(failures, random)
    assert 0.0 <= delay <= rule.cap
    assert delay <= rule.delay(failures, 0.0)
    assert (delay == 0.0) == (failures <= 0)
