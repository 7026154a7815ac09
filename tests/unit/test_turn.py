"""A turn's life is its table of moves."""

from __future__ import annotations

import shlex
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.turn import (
    ENDED,
    MAX_INTERRUPTIONS,
    TRANSITIONS,
    Event,
    IllegalMove,
    Outcome,
    OutcomeKind,
    State,
    Turn,
    advance,
    judge,
    notice,
)

LEGAL = {
    ("queued", "claim"): "running",
    ("queued", "cancel"): "cancelled",
    ("running", "succeed"): "done",
    ("running", "retry"): "queued",
    ("running", "fail"): "failed",
    ("running", "time_out"): "timed_out",
    ("running", "cancel"): "cancelled",
    ("running", "interrupt"): "queued",
    ("running", "postpone"): "queued",
    ("failed", "reopen"): "queued",
    ("timed_out", "reopen"): "queued",
    ("cancelled", "reopen"): "queued",
    ("failed", "dismiss"): "cancelled",
    ("timed_out", "dismiss"): "cancelled",
}
TURN = Turn(7, "support", attempt=2, failures=1, interruptions=1, owed_at=1.0, reason="old")


def turn_in(state: State) -> Turn:
    return Turn(7, "support", state, attempt=2, failures=1, interruptions=1, reason="old")


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_a_turn_makes_the_moves_of_the_table_and_no_other(state: State, event: Event) -> None:
    turn = turn_in(state)
    if (wanted := LEGAL.get((str(state), str(event)))) is not None:
        assert advance(turn, event, 9.0).state == wanted
        return
    with pytest.raises(IllegalMove, match=f"turn 7 is {state}: it cannot {event}"):
        advance(turn, event, 9.0)
    assert turn == turn_in(state)


def test_only_an_operator_brings_an_ended_turn_back() -> None:
    back = {event for (state, event), after in TRANSITIONS.items()
            if state in ENDED and after not in ENDED}  # fmt: skip
    assert back == {Event.REOPEN}
    assert (State.DONE, Event.REOPEN) not in TRANSITIONS


def test_a_claim_begins_the_next_attempt() -> None:
    claimed = advance(TURN, Event.CLAIM, 9.0)
    assert (claimed.attempt, claimed.started_at, claimed.ended_at) == (3, 9.0, 0.0)
    assert (claimed.failures, claimed.interruptions, claimed.owed_at) == (1, 1, 1.0)


@pytest.mark.parametrize(
    ("event", "failures", "interruptions"),
    [
        (Event.SUCCEED, 1, 1),
        (Event.RETRY, 2, 1),
        (Event.FAIL, 2, 1),
        (Event.TIME_OUT, 2, 1),
        (Event.CANCEL, 1, 1),
        (Event.INTERRUPT, 1, 2),
        (Event.POSTPONE, 1, 1),
    ],
)
def test_only_what_the_agent_did_counts_as_a_failure(
    event: Event, failures: int, interruptions: int
) -> None:
    moved = advance(turn_in(State.RUNNING), event, 9.0, "why")
    assert (moved.failures, moved.interruptions) == (failures, interruptions)
    assert moved.attempt == 2


@pytest.mark.parametrize(("state", "event"), list(TRANSITIONS))
def test_a_turn_has_an_end_just_while_it_is_ended(state: State, event: Event) -> None:
    moved = advance(turn_in(state), event, 9.0)
    assert moved.ended_at == (9.0 if moved.state in ENDED else 0.0)


def test_the_last_reason_is_kept_until_a_success() -> None:
    running = turn_in(State.RUNNING)
    assert advance(running, Event.RETRY, 9.0, "new").reason == "new"
    assert advance(turn_in(State.QUEUED), Event.CLAIM, 9.0).reason == "old"
    assert advance(running, Event.SUCCEED, 9.0, "new").reason == ""


def test_a_reopened_turn_gets_fresh_attempts_under_new_numbers() -> None:
    again = advance(turn_in(State.FAILED), Event.REOPEN, 9.0)
    assert (again.attempt, again.failures, again.interruptions) == (2, 0, 0)


@pytest.mark.parametrize(
    ("kind", "failures", "attempts", "event"),
    [
        (OutcomeKind.SUCCEEDED, 0, 3, Event.SUCCEED),
        (OutcomeKind.SUCCEEDED, 9, 3, Event.SUCCEED),
        (OutcomeKind.FAILED, 0, 3, Event.RETRY),
        (OutcomeKind.FAILED, 1, 3, Event.RETRY),
        (OutcomeKind.FAILED, 2, 3, Event.FAIL),
        (OutcomeKind.FAILED, 5, 3, Event.FAIL),
        (OutcomeKind.FAILED, 0, 1, Event.FAIL),
        (OutcomeKind.TIMED_OUT, 1, 3, Event.RETRY),
        (OutcomeKind.TIMED_OUT, 2, 3, Event.TIME_OUT),
        (OutcomeKind.TIMED_OUT, 0, 1, Event.TIME_OUT),
        (OutcomeKind.CANCELLED, 0, 3, Event.CANCEL),
        (OutcomeKind.CANCELLED, 2, 3, Event.CANCEL),
    ],
)
def test_an_outcome_is_judged_by_the_failures_before_it(
    kind: OutcomeKind, failures: int, attempts: int, event: Event
) -> None:
    turn = Turn(1, "a", State.RUNNING, attempt=failures + 4, failures=failures)
    assert judge(turn, Outcome(kind), attempts) is event


@pytest.mark.parametrize("attempts", [1, 3])
def test_an_interruption_costs_no_attempt_until_it_looks_like_the_cause(attempts: int) -> None:
    def judged(interruptions: int) -> Event:
        turn = Turn(1, "a", State.RUNNING, failures=attempts - 1, interruptions=interruptions)
        return judge(turn, Outcome(OutcomeKind.INTERRUPTED), attempts)

    assert [judged(n) for n in range(MAX_INTERRUPTIONS - 1)] == [Event.INTERRUPT] * (
        MAX_INTERRUPTIONS - 1
    )
    assert judged(MAX_INTERRUPTIONS - 1) is Event.FAIL


@given(
    st.sampled_from(OutcomeKind),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(1, 50),
)
def test_every_judgement_is_a_move_that_a_running_turn_can_make(
    kind: OutcomeKind, failures: int, interruptions: int, attempts: int
) -> None:
    turn = Turn(1, "a", State.RUNNING, failures=failures, interruptions=interruptions)
    assert (State.RUNNING, judge(turn, Outcome(kind), attempts)) in TRANSITIONS


HOSTILE = ["plain", "two words", "it's", 'a "b"', "$(touch /tmp/x)", "`id`", "a;b", "a|b&", "*"]


def commands_in(text: str) -> list[list[str]]:
    lines = [line.partition(":")[2] for line in text.splitlines()[1:4]]
    return [shlex.split(line.partition("   (")[0]) for line in lines]


@pytest.mark.parametrize("profile", HOSTILE)
def test_the_notice_quotes_the_profile_for_the_shell(profile: str) -> None:
    check, read, reply = commands_in(notice(["raft"], profile))
    assert check == ["raft", "--profile", profile, "message", "check"]
    assert read[:5] == ["raft", "--profile", profile, "message", "read"]
    assert reply[:5] == ["raft", "--profile", profile, "message", "send"]


@pytest.mark.parametrize("profile", HOSTILE)
def test_the_notice_says_where_the_manual_is_by_a_command_that_the_cli_takes(profile: str) -> None:
    line = next(x for x in notice(["raft"], profile).splitlines() if x.startswith("Manual:"))
    words = shlex.split(line.removeprefix("Manual:"))
    assert words[:6] == ["raft", "--profile", profile, "manual", "get", "raft-cli-overview"]
    # commands/knowledge/get.ts: both are required, of 12 to 500 characters.
    given = dict(zip(words[6::2], words[7::2], strict=True))
    assert set(given) == {"--intent", "--reason"}
    assert all(12 <= len(text) <= 500 for text in given.values())


def test_the_notice_says_that_a_held_send_is_not_sent_and_what_to_do_then() -> None:
    said = [x for x in notice(["raft"], "one").splitlines() if "SEND_HELD_AS_DRAFT" in x]
    assert len(said) == 1
    assert "nothing was sent" in said[0]
    assert "`raft --profile one` for `raft`" in said[0]


def test_the_notice_is_short() -> None:
    assert len(notice(["raft"], "support-agent").splitlines()) == 7
    assert len(notice(["raft"], "support-agent")) < 950


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_no_profile_says_anything_else_to_the_shell(profile: str) -> None:
    read = notice(["/opt/my raft/raft"], profile).split("Read them:  ")[1]
    first = read.split(" message check\n")[0] if "\n" not in profile else ""
    assert shlex.split(first) == ["/opt/my raft/raft", "--profile", profile]


def test_the_notice_holds_nothing_but_the_commands_and_fixed_words() -> None:
    one, other = notice(["raft"], "one"), notice(["raft"], "other")
    assert one.replace("--profile one", "") == other.replace("--profile other", "")
