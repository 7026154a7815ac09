"""Which programs count as hung."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raftsup.supervisor.watchdog import Pulse, silent
from raftsup.worker.heartbeat import interval

NOW, LIMIT = 1000.0, 20.0


def pulse(started: float = 0.0, beat: float = 0.0) -> Pulse:
    return Pulse("accounts:support", 7, started, beat)


def test_a_program_that_has_not_beaten_for_longer_than_the_limit_is_silent() -> None:
    late, just = pulse(beat=NOW - LIMIT - 0.1), pulse(beat=NOW - LIMIT)
    assert silent([late, just], NOW, LIMIT, awake_since=0.0) == [late]


def test_a_program_has_the_whole_limit_from_its_start_to_its_first_beat() -> None:
    young = pulse(started=NOW - LIMIT + 1, beat=NOW - 500)  # the beat is its predecessor's
    assert silent([young], NOW, LIMIT, awake_since=0.0) == []


def test_silence_while_the_host_itself_was_paused_proves_nothing() -> None:
    slept = pulse(started=1.0, beat=NOW - 500)
    assert silent([slept], NOW, LIMIT, awake_since=NOW - 1) == []
    assert silent([slept], NOW + LIMIT + 1, LIMIT, awake_since=NOW - 1) == [slept]


@given(*[st.floats(0, 1e6)] * 5)
def test_only_who_has_done_nothing_for_the_limit_is_ever_killed(
    started: float, beat: float, now: float, limit: float, awake: float
) -> None:
    found = silent([pulse(started, beat)], now, limit, awake)
    assert bool(found) == all(now - moment > limit for moment in (started, beat, awake))


@given(st.floats(4.0, 1e6))
def test_a_worker_proves_itself_several_times_within_any_limit(limit: float) -> None:
    assert 0 < interval(limit) <= limit / 4
