"""What hooks may report: the fields, the refusals, and that no content gets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.wake import BODY_LIMIT, CONTENT_KEYS, Refused
from raftsup.worker.activity.hooks import CONTENT, FIELDS, HOOKS, STATUSES, Report, parse

EVENT = {"schema": "raft-activity.v1", "hookEventName": "PreToolUse"}
RUN = (17, 1)


def parsed(**more: Any) -> Report:
    return parse(json.dumps({**EVENT, **more}).encode())


def refused(body: bytes) -> str:
    with pytest.raises(Refused) as info:
        parse(body)
    assert info.value.status == 400
    return info.value.error


def test_a_tools_name_is_enough() -> None:
    assert parsed(toolName="Bash") == Report("PreToolUse", "Bash")
    assert parsed() == Report("PreToolUse")


def test_what_hermes_adapter_is_sent_is_taken_but_for_its_session() -> None:
    report = parsed(
        hookEventName="PostToolUse",
        eventId="hermes-1",
        sessionId="a-session",
        status="ok",
        occurredAt="2026-11-21T08:00:00.500Z",
        toolName="mcp__files__read",
        durationMs=250,
        errorClass=None,
    )
    assert report == Report(
        "PostToolUse", "mcp__files__read", False, "hermes-1", 1795248000.5, 0.25, ""
    )


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_that_raft_knows_is_known(hook: str) -> None:
    assert parsed(hookEventName=hook).hook == hook


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_only_a_failed_outcome_makes_a_tools_end_a_failure(status: str) -> None:
    report = parsed(hookEventName="PostToolUse", status=status)
    assert report.failed == (status in ("error", "failed"))
    assert parsed(hookEventName="PostToolUseFailure").failed


@pytest.mark.parametrize(
    "change",
    [
        {"schema": None},
        {"schema": "raft-activity.v2"},
        {"hookEventName": None},
        {"hookEventName": ""},
        {"hookEventName": "Notification"},
        {"hookEventName": 7},
        {"toolName": "rm -rf ~/work"},
        {"toolName": ""},
        {"toolName": "two\nlines"},
        {"toolName": "x" * 121},
        {"toolName": 7},
        {"toolName": {"name": "Bash"}},
        {"eventId": "two words"},
        {"sessionId": "two words"},
        {"errorClass": "it said no"},
        {"status": "great"},
        {"status": True},
        {"durationMs": -1},
        {"durationMs": True},
        {"durationMs": "9"},
        {"durationMs": 1e300},
        {"durationMs": 10**400},
        {"occurredAt": []},
        {"occurredAt": "x" * 121},
        {"tool_name": "Bash"},
        {"unheard": 1},
    ],
    ids=repr,
)
def test_what_is_no_report_is_refused(change: dict[str, Any]) -> None:
    refused(json.dumps({**EVENT, **change}).encode())


@pytest.mark.parametrize("key", sorted(CONTENT))
def test_content_is_refused_by_name_in_any_case(key: str) -> None:
    for spelled in (key, key.upper(), key.title()):
        assert "carries content" in refused(json.dumps({**EVENT, spelled: "x"}).encode())


def test_what_claude_codes_hooks_get_on_standard_input_is_refused_as_it_is() -> None:
    said = refused(
        json.dumps(
            {
                "session_id": "abc",
                "cwd": "/home/me",
                "hook_event_name": "PreToolUse",
                "tool_name": "Bash",
                "tool_input": {"command": "cat secret-plans"},
            }
        ).encode()
    )
    assert "secret-plans" not in said


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 5000,
        b'{"x":' * 900 + b"1" + b"}" * 900,
        b'{"schema":"raft-activity.v1","hookEventName":"Stop","hookEventName":"Stop"}',
        b'{"schema":"raft-activity.v1","hookEventName":"Stop","toolName":{"text":"x"},"toolName":"a"}',
        b'{"schema":"raft-activity.v1","hookEventName":"Stop","durationMs":' + b"9" * 9000 + b"}",
        b'{"schema":"raft-activity.v1","hookEventName":"Stop","toolName":"\\ud800"}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_odd_bodies_are_refused(body: bytes) -> None:
    refused(body)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("1970-01-01T00:00:50Z", 50.0),
        ("1970-01-01T01:00:50+01:00", 50.0),
        ("1970-01-01T00:00:50", 50.0),
        ("1970-01-01T00:00:09Z", 99.0),
        ("2999-01-01T00:00:00Z", 99.0),
        ("0001-01-01T00:00:00+23:59", 99.0),
        ("yesterday", 99.0),
        ("", 99.0),
        (None, 99.0),
        (50, 99.0),
    ],
)
def test_a_time_outside_of_the_attempt_is_now(said: object, at: float) -> None:
    assert parsed(occurredAt=said).heard(RUN, since=10.0, now=99.0).at == at


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {key.casefold() for key in value} | set().union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


keys = st.one_of(
    st.sampled_from(sorted({*FIELDS, *CONTENT_KEYS, "toolInput", "toolOutput"})), st.text()
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=200),
    st.sampled_from(["Bash", "ok", "PreToolUse", "raft-activity.v1"]),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=8
)
events = st.dictionaries(keys, values, max_size=6).map(lambda more: {**EVENT, **more})


@given(st.one_of(events, values))
def test_no_body_breaks_it_and_none_with_content_at_any_depth_is_taken(event: Any) -> None:
    try:
        report = parse(json.dumps(event).encode())
    except Refused as refusal:
        assert refusal.status == 400
        return
    assert not _keys(event) & CONTENT
    assert _keys(event) <= {field.casefold() for field in FIELDS}
    assert report.hook in HOOKS
    assert all(len(word) <= 120 for word in (report.tool, report.event_id, report.error_class))


@given(st.binary(max_size=BODY_LIMIT))
def test_no_bytes_break_it(body: bytes) -> None:
    with pytest.raises(Refused):
        parse(body)
