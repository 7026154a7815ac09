"""The life of a bridge: what each thing it says or does makes of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.backoff import Backoff
from raftsup.raft_errors import CODES, Who, advice
from raftsup.worker.bridge import state as bridge_state
from raftsup.worker.bridge.state import (
    CONNECTING,
    LIFECYCLE,
    RUNNING,
    TRANSITIONS,
    BridgeState,
    Event,
    IllegalMove,
    Life,
    Timings,
)

TIMES = Timings()
WHO = Who("support", agent_id="agent-1", server="https://raft.invalid")
#: Long after the epoch, so that no time is taken for "never".
NOON = 1_800_000_000.0


def start(life: Life, pid: int = 7, at: float = NOON) -> Life:
    return bridge_state.started(life, pid, at)


def lifecycle(life: Life, state: object, at: float = NOON) -> Life:
    return bridge_state.said(life, {"type": "agent_comms.lifecycle", "state": state}, at, TIMES)


def end(
    life: Life, stderr: str = "", at: float = NOON, how: str = "exited with 1"
) -> tuple[Life, float]:
    return bridge_state.ended(
        life, exit_text=how, stderr=stderr, who=WHO, now=at, random=0.0, timings=TIMES
    )


def silent(life: Life, at: float) -> Life:
    return bridge_state.silent(life, "support", at, TIMES)


def fatal(life: Life, code: str, message: str = "") -> Life:
    event = {"type": "bridge_fatal", "errorCode": code, "message": message}
    return bridge_state.said(life, event, NOON, TIMES)


def retry(life: Life, at: float = NOON, **more: object) -> Life:
    return bridge_state.said(life, {"type": "bridge_retry", **more}, at, TIMES)


def after(*words: str) -> Life:
    """The life after a start and these lifecycle states."""
    life = start(Life())
    for word in words:
        life = lifecycle(life, word)
    return life


@pytest.mark.parametrize(
    ("words", "state", "reason"),
    [
        ((), "connecting", CONNECTING),
        (("starting",), "connecting", CONNECTING),
        (("connected_replaying",), "connecting", CONNECTING),
        (("starting", "connected_replaying", "listening_idle"), "listening", ""),
        (("listening_idle", "starting"), "listening", ""),
        (("listening_idle", "starting", "handoff_pending"), "listening", ""),
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
@pytest.mark.parametrize("event", Event)
def test_a_move_is_in_the_table_or_raises(state: BridgeState, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert bridge_state.advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalMove, match=f"a bridge that is {state} cannot {event}"):
            bridge_state.advance(state, event)


@pytest.mark.parametrize("state", RUNNING)
def test_a_bridge_that_runs_is_not_started_again(state: BridgeState) -> None:
    life = Life(state=state, pid=7)
    with pytest.raises(IllegalMove):
        start(life)
    with pytest.raises(IllegalMove):
        bridge_state.locked_out(life, "why", NOON)


def test_a_retry_is_degraded_at_once_with_the_clis_own_words() -> None:
    life = retry(
        after("listening_idle"), consecutiveFailures=2, delayMs=10_000,
        errorCode="SERVER_5XX", message="HTTP 503",
    )  # fmt: skip
    assert life.state is BridgeState.DEGRADED
    assert life.reason == (
        "the bridge lost Raft (SERVER_5XX: HTTP 503) and tries again by itself: failure 2 in a row,"
        " next try after 10 s"
    )
    assert bridge_state.said(
        life, {"type": "bridge_recovered", "afterFailures": 2}, NOON, TIMES
    ).healthy
    assert lifecycle(life, "listening_idle").healthy


REFUSED = {"type": "reconcile_failed", "message": "Invalid agent credential"}
DRAIN = {"type": "agent_comms.activity_drain", "outcome": "failed", "drainedCount": 1}


def say(life: Life, event: dict[str, Any]) -> Life:
    return bridge_state.said(life, event, NOON, TIMES)


@pytest.mark.parametrize(
    "event", [REFUSED, {**DRAIN, "errorMessage": "HTTP 401"}, {**REFUSED, "message": "HTTP 403"}]
)
def test_a_refused_request_beside_an_open_stream_is_not_green_until_one_is_taken(
    event: dict[str, Any],
) -> None:
    life = say(after("listening_idle"), event)
    assert life.state is BridgeState.REVOKED and not life.listening_since
    assert "Raft refuses the bridge's credential (" in life.reason
    assert bridge_state.awaits_credential(life)
    # Its stream lives on, and each pass of it says that all is well.
    for word in ("starting", "handoff_pending", "listening_idle"):
        again = lifecycle(life, word)
        assert (again.state, again.reason) == (BridgeState.REVOKED, life.reason)
    for taken in (
        {"type": "reconcile_peek"}, {"type": "fast_reconcile_peek"},
        {**DRAIN, "outcome": "forwarded"}, {"type": "bridge_recovered"},
    ):  # fmt: skip
        broken = retry(life) if taken["type"] == "bridge_recovered" else life
        assert say(broken, taken).healthy
    assert retry(life).state is BridgeState.DEGRADED


@pytest.mark.parametrize(
    "event",
    [
        {**REFUSED, "message": "HTTP 503"},
        {"type": "reconcile_failed"},
        {**DRAIN, "errorMessage": None},
        # Our own endpoint's: nothing was drained.
        {**DRAIN, "drainedCount": None, "errorMessage": "HTTP 401"},
    ],
)
def test_what_fails_beside_the_stream_for_another_reason_is_raft_s_own(
    event: dict[str, Any],
) -> None:
    assert say(after("listening_idle"), event).healthy


@pytest.mark.parametrize("more", [{}, {"delayMs": "x", "consecutiveFailures": [], "message": 7}])
def test_a_retry_of_another_shape_is_one_as_well(more: dict[str, Any]) -> None:
    life = retry(after("listening_idle"), **more)
    assert life.state is BridgeState.DEGRADED and life.reason


def test_a_wake_in_the_middle_of_a_pass_is_no_end_of_it() -> None:
    event = {"type": "agent_comms.handoff", "state": "handoff_pending"}
    life = bridge_state.said(after(), event, NOON, TIMES)
    assert life.state is BridgeState.CONNECTING


def test_silence_is_told_with_what_ends_it_and_ends_with_a_word() -> None:
    life = silent(after("listening_idle"), NOON + 91)
    assert (life.state, life.listening_since) == (BridgeState.SILENT, 0.0)
    spoke = time.strftime("%H:%M:%S %Z", time.localtime(NOON))
    assert life.reason == (
        f"the bridge has said nothing since {spoke}, a healthy one speaks every 25 s; after 180 s"
        " of silence it is restarted by itself, `raftsup ctl restart accounts:support` does it now"
    )
    assert life.listened_at == NOON
    assert lifecycle(life, "listening_idle", at=NOON + 92).healthy
    unknown = bridge_state.said(life, {"type": "reconcile_peek"}, NOON + 92, TIMES)
    assert (unknown.state, unknown.heard_at) == (BridgeState.CONNECTING, NOON + 92)
    assert retry(life).state is BridgeState.DEGRADED


def test_a_pass_keeps_the_spell_and_a_retry_ends_it() -> None:
    life = after("listening_idle")
    for n in range(1, 9):
        life = lifecycle(lifecycle(life, "starting", NOON + n), "listening_idle", NOON + n)
    assert (life.listening_since, life.listened_at, life.heard_at) == (NOON, NOON + 8, NOON + 8)
    assert retry(life, at=NOON + 9).listening_since == 0.0


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
        {"type": ["bridge_fatal"], "errorCode": "CHECK_FAILED"},
        {"state": 3},
    ],
)
@pytest.mark.parametrize("words", [(), ("listening_idle",), ("degraded_backoff",)])
def test_an_unknown_event_changes_nothing(event: dict[str, Any], words: Sequence[str]) -> None:
    life = after(*words)
    assert bridge_state.said(life, event, NOON + 1, TIMES) == replace(life, heard_at=NOON + 1)


@pytest.mark.parametrize("words", [(), ("listening_idle",), ("degraded_backoff",)])
def test_a_bridge_that_gave_up_is_not_green_until_it_ends(words: Sequence[str]) -> None:
    """It reports its end to Raft first, and a server that does not answer holds it up."""
    life = fatal(after(*words), "CHECK_FAILED", "fetch failed")
    assert life.state is BridgeState.DEGRADED
    assert not life.healthy
    assert "gave up (CHECK_FAILED: fetch failed)" in life.reason
    ended, _ = end(life)
    assert "(CHECK_FAILED)" in ended.reason


def test_an_error_within_the_cli_has_the_code_that_it_printed() -> None:
    printed = "Error: Unexpected error: bad JSON\nCode: INTERNAL_BUG\n"
    life, _ = end(fatal(start(Life()), "SyntaxError", "bad JSON"), printed)
    assert "(INTERNAL_BUG)" in life.reason and "`raftsup doctor`" in life.reason


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_deaths_before_a_healthy_run_do_not_outlive_it_however_it_ends(way: str) -> None:
    """An end that was asked for counts no death; a killed worker's file has what was said last."""
    life = lifecycle(start(Life(failures=7)), "listening_idle", at=NOON)
    assert life.failures == 7
    if way == "stop":
        assert bridge_state.stopped(life, NOON + TIMES.healthy, TIMES).failures == 0
        assert bridge_state.stopped(life, NOON + 1, TIMES).failures == 7
    else:
        assert lifecycle(life, "listening_idle", at=NOON + 25).failures == 0


@pytest.mark.parametrize("last", ["retry", "fatal", "silent"])
def test_a_healthy_spell_counts_also_where_something_went_wrong_before_the_end(last: str) -> None:
    life = start(Life(failures=7))
    life = lifecycle(life, "listening_idle", at=NOON)
    gone = NOON + TIMES.healthy
    match last:
        case "retry":
            life = retry(life, at=gone)
        case "fatal":
            life = bridge_state.said(life, {"type": "bridge_fatal", "errorCode": "X"}, gone, TIMES)
        case _:
            life = silent(life, gone)
    assert end(life, at=gone + 1)[0].failures == 1
    assert end(start(Life(failures=7)), at=gone)[0].failures == 8


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
    assert delays[-1] == TIMES.quick.cap


def test_a_healthy_spell_makes_the_next_death_the_first_again() -> None:
    life = Life()
    for _ in range(5):
        life, delay = end(start(life))
    assert delay > TIMES.quick.base
    life = lifecycle(start(life), "listening_idle", at=NOON)
    life, delay = end(life, at=NOON + TIMES.healthy)
    assert (life.failures, delay) == (1, TIMES.quick.base)


@pytest.mark.parametrize(
    ("word", "spell"),
    [("listening_idle", TIMES.healthy - 1), ("degraded_backoff", TIMES.healthy * 10)],
)
def test_a_spell_too_short_or_not_healthy_proves_nothing(word: str, spell: float) -> None:
    life, _ = end(start(Life()))
    life = lifecycle(start(life), word, at=NOON)
    life, _ = end(life, at=NOON + spell)
    assert life.failures == 2


def test_restarts_count_the_starts_after_the_first_of_each_worker() -> None:
    assert start(Life(restarts=4)).restarts == 4
    life = start(Life())
    assert life.restarts == 0
    life = start(end(life)[0])
    assert life.restarts == 1
    life = start(bridge_state.not_started(end(life)[0], "raft: gone", 0.0, 0.0, TIMES)[0])
    assert life.restarts == 2


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("told", ["stdout", "stderr"])
def test_every_known_code_has_its_meaning_and_what_to_type(code: str, told: str) -> None:
    life, stderr = start(Life()), ""
    if told == "stdout":
        life = fatal(life, code, "the server's words")
    else:
        stderr = f"Error: the server's words\nCode: {code}\nNext action: none"
    life, delay = end(life, stderr)
    assert f'bridge exited with 1 ({code}); "the server\'s words"; ' in life.reason
    means, fix = advice(code, WHO)
    assert means in life.reason and fix in life.reason
    assert "{" not in life.reason
    assert delay == (TIMES.slow if CODES[code].lasting else TIMES.quick).base


def test_a_revoked_credential_names_the_command_that_signs_in_again() -> None:
    life = fatal(start(Life()), "BRIDGE_WAKE_HINTS_FAILED", "This credential was revoked.")
    life, delay = end(life)
    login = "raft agent login --server https://raft.invalid --agent agent-1 --profile-slug support"
    assert f"sign in again: `{login}`" in life.reason
    assert "or as soon as the profile is signed in" in life.reason
    assert bridge_state.awaits_credential(life)
    assert delay == TIMES.slow.base
    assert not bridge_state.awaits_credential(start(life))


def test_a_code_of_the_servers_own_counts_where_it_stands_in_the_message() -> None:
    life = fatal(start(Life()), "BRIDGE_WAKE_STREAM_FAILED", "delegated_legacy_route_unsupported")
    life, _ = end(life)
    assert "update the Raft CLI" in life.reason


def test_a_code_that_only_people_are_told_is_named_with_its_words() -> None:
    life, delay = end(start(Life()), "Error: Unexpected error: terminated\nCode: INTERNAL_BUG")
    assert '(INTERNAL_BUG); "Unexpected error: terminated"; ' in life.reason
    assert delay == TIMES.quick.base
    life, _ = end(start(Life()), "panic")
    assert life.reason.startswith("bridge exited with 1; `raftsup logs` has its last words; next")


def test_an_unknown_code_is_named_and_tried_again_soon() -> None:
    life, delay = end(fatal(start(Life()), "OUT_OF_TEA"))
    assert "OUT_OF_TEA" in life.reason
    assert delay == TIMES.quick.base


def test_a_code_of_an_earlier_run_does_not_explain_a_later_death() -> None:
    life = fatal(start(Life()), "BRIDGE_IDENTITY_MISMATCH")
    life, _ = end(start(end(life)[0]))
    assert "BRIDGE_IDENTITY_MISMATCH" not in life.reason


def test_an_end_of_our_making_says_why() -> None:
    life, _ = bridge_state.ended(
        start(Life()), exit_text="killed by SIGKILL", stderr="", who=WHO, now=NOON, random=0.0,
        timings=TIMES, killed="ended by raftsup after 180 s of silence",
    )  # fmt: skip
    assert life.reason.startswith("ended by raftsup after 180 s of silence; bridge killed by")


def test_the_last_exit_and_the_last_words_are_kept_through_a_restart() -> None:
    life, _ = end(start(Life()), "Error: terminated", how="killed by SIGSEGV")
    again = start(life)
    assert (again.last_exit, again.last_error) == ("killed by SIGSEGV", "Error: terminated")
    silent, _ = end(again, "", how="exited with 3")
    assert (silent.last_exit, silent.last_error) == ("exited with 3", "Error: terminated")


def test_a_missing_cli_says_how_to_install_and_verify_it() -> None:
    life, delay = bridge_state.not_started(
        Life(), "raft: No such file or directory", 0.0, 0.0, TIMES
    )
    assert life.state is BridgeState.MISSING
    assert "npm i -g @botiverse/raft" in life.reason
    assert "raft --help" in life.reason
    assert delay == TIMES.slow.base


MOVES = st.one_of(
    st.tuples(st.just("start"), st.integers(1, 1 << 22)),
    st.tuples(st.just("silent"), st.none()),
    st.tuples(
        st.just("say"),
        st.dictionaries(
            st.sampled_from(["type", "event", "state", "errorCode", "pid", "healthy"]),
            st.one_of(
                st.sampled_from(
                    [*LIFECYCLE, *CODES, "bridge_fatal", "bridge_retry", "agent_comms.lifecycle"]
                ),
                st.none(),
                st.integers(),
                st.text(max_size=5),
                st.lists(st.text(max_size=3), max_size=2),
            ),
        ),
    ),
    st.tuples(st.just("end"), st.sampled_from(["", "Code: CHECK_FAILED", "panic {x} %s"])),
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
        before = life
        try:
            match move:
                case "start":
                    life = bridge_state.started(life, what, now)
                case "say":
                    life = bridge_state.said(life, what, now, TIMES)
                case "silent":
                    life = silent(life, now)
                case "end":
                    life, delay = bridge_state.ended(
                        life, exit_text="exited with 1", stderr=what, who=WHO, now=now,
                        random=random, timings=TIMES,
                    )  # fmt: skip
                case "cannot":
                    life, delay = bridge_state.not_started(life, what, 0.0, random, TIMES)
                case "stop":
                    life = bridge_state.stopped(life, now, TIMES)
        except IllegalMove:
            assert life == before
        assert (life.pid is not None) == (life.state in RUNNING)
        assert not (life.healthy and life.pid is None)
        assert (life.listening_since > 0) == life.healthy
        assert bool(life.reason) is not life.healthy
        assert life.restarts == max(0, life.starts - 1)
        if delay is not None:
            assert 0 < delay <= max(TIMES.quick.cap, TIMES.slow.cap)


@given(st.integers(-5, 10_000), st.floats(0, 0.999))
def test_a_back_off_is_never_negative_nor_above_its_cap(failures: int, random: float) -> None:
    rule = Backoff(base=0.25, cap=60.0)
    delay = rule.delay(failures, random)
    assert 0.0 <= delay <= rule.cap
    assert delay <= rule.delay(failures, 0.0)
    assert (delay == 0.0) == (failures <= 0)
