"""The frames between us and a Gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.runners.openclaw import frames
from raftsup.runners.openclaw.frames import Answer, BadFrame, Challenge, Device, Event

CHALLENGE = Challenge("the-nonce", 1_795_254_555_005)
HELLO: dict[str, Any] = {
    "type": "hello-ok",
    "protocol": 4,
    "server": {"version": "2026.9.6", "bootId": "boot-1"},
    "features": {"methods": ["agent", "agent.wait"]},
    "snapshot": {"uptimeMs": 4321, "sessionDefaults": {"defaultAgentId": "sales"}},
    "auth": {"scopes": ["operator.read"]},
}

jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


def test_connect_asks_for_no_more_than_it_needs() -> None:
    params = frames.connect(CHALLENGE, token="t", password=None, device=None)
    assert (params["minProtocol"], params["maxProtocol"]) == (4, 4)
    assert (params["client"]["id"], params["client"]["mode"]) == ("gateway-client", "backend")
    assert params["scopes"] == ["operator.read", "operator.write"]
    assert params["auth"] == {"token": "t"}
    assert "device" not in params


@pytest.mark.parametrize(
    ("token", "password", "auth"),
    [("t", None, {"token": "t"}), (None, "p", {"password": "p"}), (None, None, None)],
)
def test_connect_carries_the_credentials_that_there_are(
    token: str | None, password: str | None, auth: dict[str, str] | None
) -> None:
    params = frames.connect(CHALLENGE, token=token, password=password, device=None)
    assert params.get("auth") == auth


def test_a_device_answers_this_very_challenge() -> None:
    device = Device("id", "key", "signature")
    params = frames.connect(CHALLENGE, token=None, password=None, device=device)
    assert params["device"] == {
        "id": "id",
        "publicKey": "key",
        "signature": "signature",
        "signedAt": 1_795_254_555_005,
        "nonce": "the-nonce",
    }


def test_a_run_goes_to_its_session_and_to_no_channel() -> None:
    params = frames.agent_run("notice", session="s", key="k", agent_id=None, seconds=0.2)
    assert params == {"message": "notice", "sessionKey": "s", "idempotencyKey": "k",
                      "deliver": False, "timeout": 1}  # fmt: skip
    named = frames.agent_run("notice", session="s", key="k", agent_id="main", seconds=90.4)
    assert (named["agentId"], named["timeout"]) == ("main", 90)


def test_a_request_is_one_text_of_json() -> None:
    text = frames.request("7", "agent.wait", {"runId": "r"})
    assert json.loads(text) == {
        "type": "req", "id": "7", "method": "agent.wait", "params": {"runId": "r"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        ({"type": "res", "id": "1", "ok": True, "payload": {"a": 1}}, Answer("1", True, {"a": 1})),
        (
            {"type": "res", "id": "1", "ok": False, "error": {"code": "X"}},
            Answer("1", False, {}, {"code": "X"}),
        ),
        ({"type": "res", "id": "1", "ok": "yes", "payload": 3}, Answer("1", False)),
        ({"type": "event", "event": "agent", "payload": {"a": 1}}, Event("agent", {"a": 1})),
        ({"type": "event", "event": "tick"}, Event("tick", {})),
        ({"type": "newer than we are"}, None),
        ({}, None),
    ],
)
def test_what_comes_is_read_without_trust(frame: dict[str, Any], read: object) -> None:
    assert frames.read(json.dumps(frame)) == read


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"res"', "NaN", "\x00"])
def test_what_is_no_frame_is_refused(text: str) -> None:
    with pytest.raises(BadFrame):
        frames.read(text)


@given(jsons)
def test_no_json_breaks_the_reader(value: object) -> None:
    try:
        frame = frames.read(json.dumps(value))
    except BadFrame:
        return
    assert frame is None or isinstance(frame, Answer | Event)


@pytest.mark.parametrize(
    "event",
    [
        Event("tick", {"nonce": "n", "ts": 1}),
        Event("connect.challenge", {}),
        Event("connect.challenge", {"nonce": "", "ts": 1}),
        Event("connect.challenge", {"nonce": 3, "ts": 1}),
        Event("connect.challenge", {"nonce": "n"}),
        Event("connect.challenge", {"nonce": "n", "ts": True}),
        Event("connect.challenge", {"nonce": "n", "ts": -1}),
        Event("connect.challenge", {"nonce": "n", "ts": "1"}),
    ],
)
def test_a_challenge_that_cannot_be_answered_is_refused(event: Event) -> None:
    with pytest.raises(BadFrame):
        frames.challenge_of(event)


def test_a_sound_challenge_is_taken() -> None:
    event = Event("connect.challenge", {"nonce": "the-nonce", "ts": 1_795_254_555_005})
    assert frames.challenge_of(event) == CHALLENGE


def test_hello_tells_boot_scopes_age_and_the_default_agent() -> None:
    hello = frames.hello_of(HELLO)
    assert (hello.version, hello.boot, hello.uptime) == ("2026.9.6", "boot-1", 4321)
    assert hello.scopes == ("operator.read",)
    assert hello.methods == {"agent", "agent.wait"}
    assert hello.default_agent == "sales"


@pytest.mark.parametrize("server", [{}, {"bootId": None}, {"bootId": ""}])
def test_a_gateway_that_names_no_boot_has_none(server: dict[str, Any]) -> None:
    assert frames.hello_of({**HELLO, "server": server}).boot == ""


@pytest.mark.parametrize(
    "wrong", [{"protocol": 3}, {"protocol": "4"}, {"protocol": None}, {"type": "hello"}]
)
def test_another_protocol_is_refused_with_both_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadFrame, match=r"it speaks protocol .*, raftsup speaks 4"):
        frames.hello_of({**HELLO, **wrong})


@given(st.dictionaries(st.sampled_from(list(HELLO)), jsons))
def test_no_hello_breaks_the_reader(odd: dict[str, Any]) -> None:
    hello = frames.hello_of({**HELLO, **odd, "type": "hello-ok", "protocol": 4})
    assert all(isinstance(scope, str) for scope in hello.scopes)
    assert hello.default_agent


@given(st.text(max_size=600))
def test_what_the_other_side_says_moves_no_terminal_and_breaks_no_line(text: str) -> None:
    said = frames.one_line(text)
    assert said.isascii() and (said.isprintable() or not said) and len(said) <= 300
