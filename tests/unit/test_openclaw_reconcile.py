"""What became of a run that we lost sight of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raftsup.runners.openclaw import reconcile
from raftsup.runners.openclaw.reconcile import WATCH_S, Fate, Found, Handle, Traces, find

HANDLE = Handle("ours", "boot-1", "agent:main:raft:support")
SAME, OTHER = "boot-1", "boot-2"
WAITED = {"runId": "ours", "status": "timeout"}  # the wait is over, not the run


def task(run: str, status: str, **more: str) -> dict[str, Any]:
    return {"runId": run, "status": status, **more}


def row(status: str | None, last: str | None = None, aborted: bool = False) -> dict[str, Any]:
    return {"status": status, "lastRunId": last, "abortedLastRun": aborted}


def traces(boot: str, *tasks: dict[str, Any], watched: float = 1.0, **more: Any) -> Traces:
    return Traces(boot, tasks=tasks, watched=watched, **{"wait": WAITED, **more})


CUT = task("ours", "cancelled")
BEFORE = task("before", "completed")

CASES: dict[str, tuple[Traces, Found]] = {
    # agent.wait knows
    "its end is known": (
        traces(SAME, wait={"status": "ok"}),
        Found(Fate.ENDED, "ours", "ok"),
    ),
    "its end by a limit is known": (
        traces(SAME, task("ours", "running"), wait={"status": "timeout", "endedAt": 5}),
        Found(Fate.ENDED, "ours", "timeout"),
    ),
    "queued": (
        traces(SAME, task("ours", "queued"), wait={"status": "pending"}),
        Found(Fate.GOES_ON, "ours"),
    ),
    # the same boot
    "it runs": (traces(SAME, task("ours", "running"), BEFORE), Found(Fate.GOES_ON, "ours")),
    "no trace: the request was lost": (traces(SAME), Found(Fate.UNKNOWN, "ours")),
    "no trace but of the run before": (traces(SAME, BEFORE), Found(Fate.UNKNOWN, "ours")),
    "somebody aborted it long ago": (traces(SAME, CUT), Found(Fate.ENDED, "ours", "aborted")),
    "only the row is left of its abort": (
        traces(SAME, row=row("killed", "ours", True)),
        Found(Fate.ENDED, "ours", "aborted"),
    ),
    "the row is about the run before": (
        traces(SAME, row=row("done", "before")),
        Found(Fate.UNKNOWN, "ours"),
    ),
    # its task ended, and was written down
    "completed, then a restart": (
        traces(OTHER, task("ours", "completed")),
        Found(Fate.ENDED, "ours", "ok"),
    ),
    "failed, then a restart": (
        traces(OTHER, task("ours", "failed", error="model: 401")),
        Found(Fate.ENDED, "ours", "error", "model: 401"),
    ),
    "timed out, long ago": (
        traces(SAME, task("ours", "timed_out")),
        Found(Fate.ENDED, "ours", "timeout"),
    ),
    # another boot, and the row tells
    "the row says done": (
        traces(OTHER, row=row("done", "ours")),
        Found(Fate.ENDED, "ours", "ok"),
    ),
    "the row says failed": (
        traces(OTHER, CUT, row=row("failed", "ours")),
        Found(Fate.ENDED, "ours", "error"),
    ),
    "aborted, then a restart": (
        traces(OTHER, CUT, row=row("killed", "ours", True)),
        Found(Fate.ENDED, "ours", "aborted"),
    ),
    # another boot, cut off
    "it never came to the other boot": (traces(OTHER), Found(Fate.GONE)),
    "it never came, and the one before had ended": (
        traces(OTHER, BEFORE, row=row("done", "before")),
        Found(Fate.GONE),
    ),
    "cut off and not resumed": (traces(OTHER, CUT, row=row("failed", "x")), Found(Fate.GONE)),
    "cut off, no row": (traces(OTHER, CUT, BEFORE), Found(Fate.GONE)),
    "it will be resumed": (traces(OTHER, CUT, row=row("running", None, True)), Found(Fate.PENDING)),
    "it will be resumed, for too long": (
        traces(OTHER, CUT, row=row("running", None, True), watched=WATCH_S),
        Found(Fate.GONE),
    ),
    "about to be resumed, and its task not there yet": (
        traces(OTHER, CUT, BEFORE, row=row("running")),
        Found(Fate.PENDING),
    ),
    "resumed": (
        traces(OTHER, task("again", "running"), CUT, row=row("running")),
        Found(Fate.GOES_ON, "again"),
    ),
    "resumed, however late": (
        traces(OTHER, task("again", "running"), CUT, row=row("running"), watched=9e9),
        Found(Fate.GOES_ON, "again"),
    ),
    "resumed, and done": (
        traces(OTHER, task("again", "completed"), CUT, row=row("done", "again")),
        Found(Fate.ENDED, "again", "ok"),
    ),
    "resumed, and failed": (
        traces(OTHER, task("again", "failed", error="429"), CUT, row=row("failed", "again")),
        Found(Fate.ENDED, "again", "error", "429"),
    ),
    "resumed, and cut off again": (
        traces(OTHER, task("again", "cancelled"), CUT, row=row("running", None, True)),
        Found(Fate.PENDING),
    ),
    "resumed, and cut off for good": (
        traces(OTHER, task("again", "cancelled"), CUT, row=row("failed", "x")),
        Found(Fate.GONE),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_runs_fate_is_read_from_what_the_gateway_kept_of_it(case: str) -> None:
    told, found = CASES[case]
    assert find(HANDLE, told) == found


RUNS = st.sampled_from(["ours", "before", "again"])
STATUSES = st.sampled_from(["queued", "running", "completed", "failed", "timed_out", "cancelled"])
OTHERS = st.sampled_from(["before", "again"])
ROW_STATUSES = st.sampled_from([None, "running", "done", "failed", "killed", "timeout"])


def tasks_of(runs: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    each = st.builds(task, runs, STATUSES)
    return st.lists(each, max_size=4, unique_by=lambda task: task["runId"])


def with_cut(tasks: list[dict[str, Any]], place: int) -> list[dict[str, Any]]:
    return [*tasks[:place], CUT, *tasks[place:]]


def told_by(
    boot: str,
    tasks: st.SearchStrategy[list[dict[str, Any]]] = tasks_of(RUNS),  # noqa: B008
    last: st.SearchStrategy[str] = RUNS,
) -> st.SearchStrategy[Traces]:
    """All that a Gateway of that boot may tell where ``agent.wait`` knows no end."""
    return st.builds(
        Traces,
        st.just(boot),
        st.sampled_from([{}, WAITED, {"status": "pending"}]),
        tasks,
        st.none() | st.builds(row, ROW_STATUSES, st.none() | last, st.booleans()),
        st.floats(0, 2 * WATCH_S),
    )


def of_ours(told: Traces) -> str:
    return next((t["status"] for t in told.tasks if t["runId"] == "ours"), "")


def row_is_of_ours(told: Traces) -> bool:
    return bool(told.row and told.row["lastRunId"] == "ours")


@given(told_by(OTHER))
def test_to_another_boot_the_same_key_is_never_sent_again(told: Traces) -> None:
    assert find(HANDLE, told).fate is not Fate.UNKNOWN


@given(told_by(SAME))
def test_the_same_boot_never_leads_to_a_second_attempt(told: Traces) -> None:
    assert find(HANDLE, told).fate not in (Fate.GONE, Fate.PENDING)


@given(told_by(SAME) | told_by(OTHER))
def test_an_end_is_told_only_where_something_shows_it(told: Traces) -> None:
    found = find(HANDLE, told)
    if found.fate is not Fate.ENDED:
        return
    if found.run == "ours":
        aborted_here = told.boot == SAME and of_ours(told) == "cancelled"
        its_task = of_ours(told) in ("completed", "failed", "timed_out")
        assert its_task or row_is_of_ours(told) or aborted_here
    else:
        runs = [t["runId"] for t in told.tasks]
        assert runs.index(found.run) < runs.index("ours")  # it came after ours


@given(told_by(OTHER, st.builds(with_cut, tasks_of(OTHERS), st.integers(0, 2)), OTHERS))
def test_a_cut_off_task_is_never_an_end(told: Traces) -> None:
    found = find(HANDLE, told)
    assert not (found.fate is Fate.ENDED and found.run == "ours")
    assert found.status != "aborted"


@given(told_by(OTHER))
def test_the_wait_for_a_resumption_has_an_end(told: Traces) -> None:
    if find(HANDLE, told).fate is Fate.PENDING:
        assert told.watched < WATCH_S


@given(told_by(OTHER, tasks_of(OTHERS), OTHERS))
def test_a_run_that_came_before_ours_is_never_taken_for_it(told: Traces) -> None:
    assert find(HANDLE, told).fate in (Fate.GONE, Fate.PENDING)


@pytest.mark.parametrize(
    ("wait", "over"),
    [
        ({"status": "ok"}, True),
        ({"status": "error"}, True),
        ({"status": "timeout", "endedAt": 0}, True),
        ({"status": "timeout"}, False),
        ({"status": "pending"}, False),
        ({}, False),
    ],
)
def test_a_wait_that_ended_is_no_run_that_ended(wait: dict[str, Any], over: bool) -> None:
    assert reconcile.is_over(wait) is over


@given(st.text(), st.text(), st.text())
def test_a_handle_survives_being_written_down(run: str, boot: str, session: str) -> None:
    handle = Handle(run, boot, session)
    try:
        text = reconcile.pack(handle)
    except TypeError:  # a lone surrogate: no id has one
        assume(False)
    assert reconcile.unpack(text) == handle


@pytest.mark.parametrize(
    "text",
    ["", "openclaw", "openclaw:", "openclaw:{", "openclaw:[]", "openclaw:{}", "openclaw:3",
     'openclaw:{"run":"r","boot":"b","session":"s","more":1}', 'acp:{"session":"s"}'],
)  # fmt: skip
def test_what_is_no_handle_of_ours_is_none(text: str) -> None:
    assert reconcile.unpack(text) is None


@pytest.mark.parametrize(
    ("row", "watched", "recovering"),
    [
        (None, 0.0, False),
        (row("done", "x"), 0.0, False),
        (row("running", None, True), 0.0, True),
        (row("running"), 0.0, True),
        (row("running", None, True), WATCH_S, False),
    ],
)
def test_a_new_run_does_not_come_between_a_gateway_and_its_recovery(
    row: dict[str, Any] | None, watched: float, recovering: bool
) -> None:
    assert reconcile.is_recovering(Traces(OTHER, row=row, watched=watched)) is recovering
