"""The supervisor and the dispatcher in a word and a reason: rules over what was found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.ops.rpc import ParentDown, ParentRefused, ParentSilent
from raftsup.ops.status import host_state

ANSWER = {"draining": False, "pid": 7}
WORDS = ["stopped", "starting", "running", "backoff", "stopping", "exited", "fatal", "unknown"]


def info(word: str, up: int = 60, why: str = "") -> dict[str, Any]:
    return {"statename": word.upper(), "spawnerr": why, "pid": 7, "now": 1000, "start": 1000 - up}


@pytest.mark.parametrize(
    ("parent", "trouble", "stopped", "state", "reason"),
    [
        (None, ParentDown("none"), False, "stopped", ""),
        (9, None, False, "running", ""),
        (9, ParentDown("no socket yet"), False, "starting", "no socket yet"),
        (9, ParentRefused("the host is draining"), False, "stopping", "the host is draining"),
        (9, ParentSilent("no answer"), False, "hung", "kill -KILL 9"),
        (9, None, True, "hung", "kill -CONT 9"),
    ],
)
def test_the_supervisor_runs_only_if_it_answers(
    parent: int | None, trouble: Exception | None, stopped: bool, state: str, reason: str
) -> None:
    found, why = host_state.of_supervisor(parent, trouble, stopped)
    assert found == state and reason in why and bool(why) is bool(reason)


@pytest.mark.parametrize(
    ("answer", "process", "stopped", "state", "reason"),
    [
        (ANSWER, info("running"), False, "running", ""),
        (ANSWER, None, False, "running", ""),
        ({**ANSWER, "draining": True}, info("running"), False, "draining", "starts no turn"),
        (None, None, False, "starting", "not answer yet"),
        (None, None, True, "hung", "kill -CONT 7"),
        (None, info("running", up=1), False, "starting", "not answer yet"),
        (None, info("running"), False, "hung", "pid 7, gives no answer"),
        (None, info("running"), True, "hung", "kill -CONT 7"),
        (None, info("backoff", why="exit status 1"), False, "backoff", "dying: exit status 1"),
        (None, info("fatal", why="exited"), False, "fatal", "not started again: exited"),
        (None, info("stopped"), False, "stopped", "raftsup ctl start dispatcher"),
    ],
)
def test_a_dispatcher_that_is_not_well_has_its_reason_and_what_to_do(
    answer: Any, process: Any, stopped: bool, state: str, reason: str
) -> None:
    found, why = host_state.of_dispatcher(answer, process, 7, stopped)
    assert found == state and reason in why and bool(why) is bool(reason)


@given(st.sampled_from(WORDS), st.integers(0, 1000), st.booleans())
def test_a_dispatcher_that_does_not_answer_never_counts_as_running(
    word: str, up: int, stopped: bool
) -> None:
    state, reason = host_state.of_dispatcher(None, info(word, up), 7, stopped)
    assert state != "running"
    assert reason or word == "stopping"


def test_a_dispatcher_that_nobody_runs_is_stopped() -> None:
    assert host_state.of_dispatcher(None, None) == ("stopped", "")
