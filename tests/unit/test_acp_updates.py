"""What is made of an ACP agent's updates."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from raftsup.runners.acp.permissions import KINDS
from raftsup.runners.acp.updates import Watch
from raftsup.runners.base import Step
from raftsup.runners.transcript import Bounded


def watched(updates: list[dict[str, Any]]) -> tuple[str, list[Step]]:
    steps: list[Step] = []
    with tempfile.TemporaryFile() as file:
        watch = Watch(Bounded(file.fileno(), 1 << 16), steps.append)
        for update in updates:
            watch.update(update)
        watch.close()
        return os.pread(file.fileno(), 1 << 17, 0).decode(), steps


def text(words: str, kind: str = "agent_message_chunk") -> dict[str, Any]:
    return {"sessionUpdate": kind, "content": {"type": "text", "text": words}}


def tool(call: str, status: str = "", update: bool = False, **more: Any) -> dict[str, Any]:
    kind = "tool_call_update" if update else "tool_call"
    return {"sessionUpdate": kind, "toolCallId": call, "status": status, **more}


def test_only_the_answers_text_is_written_and_a_tool_call_ends_its_line() -> None:
    said, _ = watched(
        [
            text("what was asked", "user_message_chunk"),
            text("a thought", "agent_thought_chunk"),
            text("I lo"),
            text("ok."),
            tool("1", title="a title"),
            text("Found."),
            {"sessionUpdate": "agent_message_chunk", "content": {"type": "image", "data": "x"}},
        ]
    )
    assert said == "I look.\nFound."


def test_a_phase_of_thought_is_told_once() -> None:
    thought = text("hm", "agent_thought_chunk")
    _, steps = watched([thought, thought, text("yes"), thought, tool("1"), thought, thought])
    assert [step.kind for step in steps] == [
        "thinking",
        "thinking",
        "tool_started",
        "thinking",
    ]


def test_a_tools_start_and_end_are_told_once_each_with_its_kind() -> None:
    _, steps = watched(
        [
            tool("1", "pending", kind="execute"),
            tool("1", "in_progress", update=True),
            tool("2", "completed", kind="read"),
            tool("1", "failed", update=True),
            tool("1", "failed", update=True),
            tool("3", "in_progress", update=True, kind="no such kind: a secret"),
        ]
    )
    assert steps == [
        Step("tool_started", "execute"),
        Step("tool_started", "read"),
        Step("tool_ended", "read"),
        Step("tool_ended", "execute", failed=True),
        Step("tool_started", "other"),
    ]


junk = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
names = st.sampled_from(["tool_call", "tool_call_update", "agent_message_chunk", "plan"])
fields = st.sampled_from(["toolCallId", "status", "kind", "content", "title"])


@given(st.lists(st.tuples(names, st.dictionaries(fields, junk)), max_size=6))
def test_no_update_breaks_the_watch_or_gets_words_into_a_step(
    told: list[tuple[str, dict[str, Any]]],
) -> None:
    _, steps = watched([{**rest, "sessionUpdate": name} for name, rest in told])
    assert all(step.tool in KINDS for step in steps)
