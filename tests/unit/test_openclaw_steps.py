"""What an ``agent`` event shows of a run."""

from __future__ import annotations

from typing import Any

import pytest

from raftsup.runners.base import Step
from raftsup.runners.openclaw import mapping


@pytest.mark.parametrize(
    ("stream", "data", "step"),
    [
        ("lifecycle", {"phase": "start", "startedAt": 1}, Step("thinking")),
        ("tool", {"phase": "start", "name": "exec"}, Step("tool_started", "exec")),
        ("tool", {"phase": "result", "name": "exec"}, Step("tool_ended", "exec")),
        (
            "tool",
            {"phase": "result", "name": "exec", "isError": True},
            Step("tool_ended", "exec", failed=True),
        ),
        ("tool", {"phase": "update", "name": "exec"}, None),
        ("lifecycle", {"phase": "end"}, None),
        ("assistant", {"text": "hello"}, None),
        ("usage", {"outputTokens": 1}, None),
        ("tool", None, None),
        (None, {}, None),
    ],
)
def test_steps_are_seen_and_nothing_else(stream: object, data: object, step: Step | None) -> None:
    assert mapping.step_of({"runId": "r", "stream": stream, "data": data}) == step


def test_no_word_of_the_agents_is_in_a_step() -> None:
    secret = "the-content"
    for phase in ("start", "result"):
        data: dict[str, Any] = {"phase": phase, "name": "exec", "args": secret, "result": secret,
                                "text": secret}  # fmt: skip
        for stream in ("lifecycle", "tool"):
            assert secret not in repr(mapping.step_of({"stream": stream, "data": data}))
