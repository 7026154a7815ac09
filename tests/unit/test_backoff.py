"""One rule of back-off for workers, bridges and lanes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.backoff import Backoff

POSITIVE = st.floats(min_value=1e-3, max_value=1e6)
FAILURES = st.integers(min_value=1, max_value=100_000)
RANDOM = st.floats(min_value=0, max_value=1, exclude_max=True)


def test_delays_double_up_to_the_cap() -> None:
    rule = Backoff(base=1, cap=10)
    assert [rule.delay(n) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize("failures", [0, -1])
def test_no_failure_earns_no_delay(failures: int) -> None:
    assert Backoff(base=1, cap=10).delay(failures, 0.5) == 0.0


@given(POSITIVE, POSITIVE, FAILURES, RANDOM)
def test_jitter_only_shortens_and_by_no_more_than_its_share(
    base: float, cap: float, failures: int, random: float
) -> None:
    rule = Backoff(base, cap, jitter=0.25)
    full = rule.delay(failures)
    assert 0.75 * full <= rule.delay(failures, random) <= full <= cap


@given(POSITIVE, POSITIVE, FAILURES)
def test_a_further_failure_never_shortens_the_delay(base: float, cap: float, failures: int) -> None:
    rule = Backoff(base, cap)
    assert rule.delay(failures) <= rule.delay(failures + 1)


def test_jitter_spreads_those_who_failed_together() -> None:
    rule = Backoff(base=1, cap=10)
    assert len({rule.delay(3, n / 50) for n in range(50)}) == 50
