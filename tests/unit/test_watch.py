"""What counts as news, and how a frame is drawn."""

from __future__ import annotations

import copy
import re
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.ops.status.watch import frame, news, settled
from tests.unit.status_facts import account, status

COLUMNS, ROWS = 20, 8
LINES = st.lists(st.text("abc ", max_size=COLUMNS), max_size=ROWS)
LANE = "its turns keep failing (2 in a row): none starts in the next {} s; look"


def test_the_mere_passing_of_time_is_no_news() -> None:
    before = status(account("a", "degraded", LANE.format(12)))
    after = {**status(account("a", "degraded", LANE.format(9))), "at": before["at"] + 3}
    for whole, seconds in ((before, 7.0), (after, 2.0)):
        whole["accounts"][0]["bridge"] |= {"heardAt": seconds, "heardAgo": seconds}
        whole["accounts"][0]["probe"] = [{"good": True, "text": f"heard {seconds:.0f} s ago"}]
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


def shown(drawn: str, before: list[str]) -> list[str]:
    """What a terminal without wrapping has after ``drawn``: after a letter in the last column its
    cursor stands on that letter (VT100; what xterm, tmux and the Linux console do).
    """
    screen = [line.ljust(COLUMNS) for line in before]
    row = column = 0
    for part in re.findall(r"\x1b\[[HKJ]|\r\n|.", drawn):
        at = min(column, COLUMNS - 1)
        if part == "\x1b[H":
            row = column = 0
        elif part == "\r\n":
            row, column = row + 1, 0
        elif part.startswith("\x1b"):
            screen[row] = screen[row][:at].ljust(COLUMNS)
            below = range(row + 1, len(screen)) if part == "\x1b[J" else ()
            for other in below:
                screen[other] = " " * COLUMNS
        else:
            screen[row] = screen[row][:at] + part + screen[row][at + 1 :]
            column = at + 1
    return [line.rstrip() for line in screen]


@given(LINES, LINES, st.integers(2, 8))
def test_a_frame_never_scrolls_and_leaves_nothing_of_the_last_one_and_loses_no_letter(
    lines: list[str], before: list[str], rows: int
) -> None:
    drawn = frame("\n".join(lines), rows)
    assert drawn.count("\n") < rows
    told = shown(drawn, [*before, *[""] * (ROWS - len(before))])
    wanted = "\n".join(lines).splitlines()
    if len(wanted) > rows:
        assert told[rows - 1].startswith(f"… {len(wanted) - rows + 1} more")
        wanted = [*wanted[: rows - 1], told[rows - 1]]
    assert told == [*(line.rstrip() for line in wanted), *[""] * (ROWS - len(wanted))]
