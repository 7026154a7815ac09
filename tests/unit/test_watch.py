"""What counts as news, and how a frame is drawn."""

from __future__ import annotations

import copy
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.ops.watch import frame, news, settled
from tests.unit.status_facts import account, status

LANE = "its turns keep failing (2 in a row): none starts in the next {} s; look"


def test_the_mere_passing_of_time_is_no_news() -> None:
    before = status(account("a", "degraded", LANE.format(12)))
    after = {**status(account("a", "degraded", LANE.format(9))), "at": before["at"] + 3}
    assert settled(before) == settled(after)


@pytest.mark.parametrize(
    "path",
    [
        ("dispatcher", "pid"), ("accounts", 0, "state"), ("accounts", 0, "turns", "queued"),
        ("accounts", 0, "wakes", "lastAt"), ("accounts", 0, "bridge", "restarts"),
    ],
)  # fmt: skip
def test_a_change_of_what_is_so_is_news(path: tuple[Any, ...]) -> None:
    before, after = status(account("a")), copy.deepcopy(status(account("a")))
    place: Any = after
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "another"
    assert settled(before) != settled(after)


def test_another_reason_is_news_also_where_it_counts_down() -> None:
    one, two = (status(account("a", "degraded", r)) for r in (LANE.format(5), "paused for 5 s"))
    assert settled(one) != settled(two)


def test_the_first_look_is_told_and_then_only_what_differs_from_the_last_that_was() -> None:
    looks = [status(account("a", state)) for state in ("starting", "starting", "ready", "starting")]
    slept: list[float] = []
    told = list(islice(news(iter(looks).__next__, 2.0, slept.append), 3))
    assert [t["accounts"][0]["state"] for t in told] == ["starting", "ready", "starting"]
    assert slept == [2.0] * 3


@given(st.lists(st.text("abc", max_size=9), max_size=30), st.integers(2, 24))
def test_a_frame_never_scrolls_and_leaves_nothing_of_the_last_one(
    lines: list[str], rows: int
) -> None:
    drawn = frame("\n".join(lines), rows)
    assert drawn.startswith("\x1b[H") and drawn.endswith("\x1b[J")
    assert drawn.count("\n") < rows
    told = drawn.removeprefix("\x1b[H").removesuffix("\x1b[J").split("\r\n")
    assert all(line.endswith("\x1b[K") for line in told if line)
    if len("\n".join(lines).splitlines()) > rows:
        assert "more lines" in told[-1]
    else:
        assert [t.removesuffix("\x1b[K") for t in told] == ("\n".join(lines).splitlines() or [""])
