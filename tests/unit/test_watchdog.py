"""Which programs count as hung."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raftsup.supervisor.watchdog import first, is_silent
from raftsup.worker.heartbeat import interval

NOW, LIMIT = 1000.0, 20.0


def test_a_program_that_has_not_beaten_for_longer_than_the_limit_is_silent() -> None:
    assert is_silent([0.0, NOW - LIMIT - 0.1], NOW, LIMIT)
    assert not is_silent([0.0, NOW - LIMIT], NOW, LIMIT)


def test_a_program_has_the_whole_limit_from_its_start_to_its_first_beat() -> None:
    # The beat is its predecessor's.
    assert not is_silent([NOW - LIMIT + 1, NOW - 500], NOW, LIMIT)


def test_silence_while_the_host_itself_was_paused_proves_nothing() -> None:
    slept = (1.0, NOW - 500, NOW - 1)
    assert not is_silent(slept, NOW, LIMIT)
    assert is_silent(slept, NOW + LIMIT + 1, LIMIT)


def test_while_some_are_stopped_none_else_is_killed_for_its_silence() -> None:
    assert first(["a", "b"], ["c"]) == ["c"]
    assert first(["a", "b"], []) == ["a", "b"]
    assert first([], ["c"]) == []


@given(*[st.floats(0, 1e6)] * 5)
def test_only_who_has_done_nothing_for_the_limit_is_ever_killed(
    started: float, beat: float, now: float, limit: float, awake: float
) -> None:
    seen = (started, beat, awake)
    assert is_silent(seen, now, limit) == all(now - moment > limit for moment in seen)


@given(st.floats(4.0, 1e6))
def test_a_worker_proves_itself_several_times_within_any_limit(limit: float) -> None:
    assert 0 < interval(limit) <= limit / 4
