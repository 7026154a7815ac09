"""What an operator reads of an ACP agent's trouble, and which lines are messages at all."""

from __future__ import annotations

import json

import orjson
import pytest
from acp import schema
from hypothesis import given
from hypothesis import strategies as st

from raftsup.runners.acp.errors import error_text, login_text, logins_of, stopped
from raftsup.runners.acp.permissions import KINDS
from raftsup.runners.acp.transport import message_in
from raftsup.terminal import plain
from raftsup.turn import OutcomeKind


def test_every_stop_reason_of_the_protocol_has_its_outcome() -> None:
    reasons = schema.StopReason.__args__  # type: ignore[attr-defined]
    ends = {reason: stopped(reason) for reason in reasons}
    assert ends.pop("end_turn").kind is OutcomeKind.SUCCEEDED
    assert all(end.kind is OutcomeKind.FAILED and end.reason for end in ends.values())
    assert "unknown" not in "".join(end.reason for end in ends.values())


def test_the_tool_kinds_are_the_protocols() -> None:
    assert set(schema.ToolKind.__args__) == KINDS  # type: ignore[attr-defined]


def test_an_error_is_told_by_method_and_code() -> None:
    assert error_text("session/prompt", -32603) == (
        "the agent answered session/prompt with error -32603: an internal error"
    )
    assert "-32099" in error_text("session/prompt", -32099)


def test_a_login_is_told_in_the_agents_own_names() -> None:
    logins = logins_of(
        [
            {"id": "browser", "name": "In the\nbrowser", "description": "x" * 500},
            {"id": "key", "name": "A key", "description": None, "vars": [{"name": "X_KEY"}]},
        ]
    )
    told = login_text(logins)
    assert "In the browser (browser): xxx" in told
    assert "A key (key): set X_KEY in agent.env" in told
    assert len(told) < 400
    assert "none itself" in login_text(())


@given(st.text(), st.integers(3, 50))
def test_what_an_agent_calls_itself_stays_on_one_line(text: str, most: int) -> None:
    shown = plain(text, most)
    assert len(shown) <= most
    assert shown == "" or shown.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":1,"result":null}',
        b'{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":""}}',
        b'{"jsonrpc":"2.0","method":"session/update","params":{}}',
    ],
)
def test_a_message_of_the_protocol_is_let_in(line: bytes) -> None:
    assert message_in(line) == json.loads(line)


@pytest.mark.parametrize(
    "line",
    [
        b"Welcome!",
        b"[]",
        b"{}",
        b"\xff",
        b'{"id":[],"result":1}',
        b'{"id":1}',
        b'{"result":1}',
        b'{"id":1,"error":"no"}',
        b'{"id":1,"error":{"code":"no","message":""}}',
        b'{"id":1,"error":{"code":1}}',
        b'{"method":5}',
    ],
)
def test_what_the_sdk_would_stumble_over_is_no_message(line: bytes) -> None:
    assert message_in(line) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["id", "method", "result", "error", "params"]),
        json_values | st.fixed_dictionaries({"code": json_values, "message": json_values}),
    )
)
def test_a_message_that_is_let_in_has_the_shape_that_the_sdk_takes_for_granted(
    told: dict[str, object],
) -> None:
    message = message_in(orjson.dumps(told))
    if message is None:
        return
    hash(message.get("id"))
    if "method" in message:
        assert isinstance(message["method"], str)
    elif isinstance(error := message.get("error"), dict):
        assert isinstance(error["code"], int) and isinstance(error["message"], str)
    else:
        assert "result" in message and "id" in message
