"""The status as a person sees it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from raftsup.ops import render


def account(name: str, state: str = "ready", reason: str = "") -> dict[str, Any]:
    return {
        "account": name,
        "profile": name,
        "state": state,
        "reason": reason,
        "endpoint": {"url": "http://127.0.0.1:1/wake", "pid": 11},
        "bridge": {
            "state": "listening", "pid": 12, "restarts": 3, "lastExit": None, "lastError": None,
        },
        "wakes": {"accepted": 40, "duplicates": 5, "rejected": 6},
        "turns": {"queued": 7, "running": 1, "done": 39, "failed": 2},
    }  # fmt: skip


def status(*accounts: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "stateDir": "/tmp/x",
        "supervisor": {"state": "running", "pid": 10},
        "dispatcher": {"state": "stopped", "pid": None},
        "accounts": list(accounts),
    }


def test_every_number_of_an_account_stands_under_its_head() -> None:
    lines = render.screen(status(account("support")), colour=False).splitlines()
    head = next(line for line in lines if line.startswith("ACCOUNT"))
    row = lines[lines.index(head) + 1]
    assert dict(zip(head.split(), row.split(), strict=True)) == {
        "ACCOUNT": "support", "STATE": "ready", "BRIDGE": "listening", "RESTARTS": "3",
        "WAKES": "40", "DUPL": "5", "REJ": "6", "QUEUED": "7", "RUN": "1", "DONE": "39",
        "FAILED": "2",
    }  # fmt: skip


def test_whatever_is_not_well_has_its_reason_whole_and_within_the_width() -> None:
    reason = "the Raft CLI cannot be started; " * 8 + "see https://example.org/" + "x" * 30
    text = render.screen(status(account("a", "degraded", reason)), colour=False, width=80)
    assert reason.split() == " ".join(text.splitlines()[6:]).split()
    assert max(map(len, text.splitlines()[6:])) <= 80


def test_without_colour_there_is_no_escape() -> None:
    text = render.screen(status(account("a"), account("b", "down", "why")), colour=False)
    assert "\x1b" not in text


@pytest.mark.parametrize("state", ["ready", "starting", "degraded", "down", "disabled"])
def test_colour_changes_how_it_looks_and_not_what_it_says(state: str) -> None:
    # An account may be called like a state.
    facts = status(account(state, state, "why"), account("other", state, "why"))
    plain, coloured = render.screen(facts, colour=False), render.screen(facts, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert coloured.count("\x1b[") == 2 * 4


def test_a_program_without_a_pid_shows_none() -> None:
    text = render.screen(status(), colour=False)
    assert "supervisor  running  pid 10\n" in text
    assert "dispatcher  stopped\n" in text
