"""What the bridge makes of an answer: the protocol page's table, row by row."""

from __future__ import annotations

import json

import pytest

from raftsup.sim.answer_class import CLASSES, judge

JSON = "application/json"


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (200, "protocol_mismatch"),
        (204, "protocol_mismatch"),
        (401, "auth_revoked"),
        (403, "auth_revoked"),
        (404, "no_session"),
        (409, "busy"),
        (410, "no_session"),
        (426, "protocol_mismatch"),
        (429, "busy"),
        (500, "injection_failed"),
        (501, "protocol_mismatch"),
        (503, "injection_failed"),
        (302, "injection_failed"),
    ],
)
def test_a_status_without_a_body_has_one_verdict(status: int, failure: str) -> None:
    assert judge(status, "text/plain", b"").failure == failure


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8"])
def test_success_with_a_runtime_session_is_injected(status: int, content_type: str) -> None:
    assert judge(status, content_type, b'{"runtimeSession": "s"}').injected


@pytest.mark.parametrize("body", [b"{}", b'{"runtimeSession": ""}', b"[]", b"no json", b""])
def test_success_without_a_runtime_session_is_a_protocol_mismatch(body: bytes) -> None:
    assert judge(202, JSON, body).failure == "protocol_mismatch"


@pytest.mark.parametrize("body", [b"null", b'{"runtimeSession": 7}'])
def test_what_the_cli_trips_over_is_an_injection_failure(body: bytes) -> None:
    assert judge(202, JSON, body).failure == "injection_failed"


def test_a_session_of_the_command_line_stands_in_for_one_that_is_not_named() -> None:
    assert judge(202, JSON, b"{}", "s").session == "s"
    assert judge(202, JSON, b'{"runtimeSession": "t"}', "s").session == "t"
    assert judge(202, JSON, b'{"runtimeSession": ""}', "s").failure == "protocol_mismatch"
    assert judge(426, JSON, b"{}", "s").failure == "protocol_mismatch"


def test_json_is_read_only_where_the_content_type_says_so() -> None:
    assert judge(202, "text/plain", b'{"runtimeSession": "s"}').failure == "protocol_mismatch"


def test_ok_false_is_never_a_success() -> None:
    body = b'{"ok": false, "runtimeSession": "s"}'
    assert judge(202, JSON, body).failure == "injection_failed"


@pytest.mark.parametrize("failure", CLASSES)
def test_the_body_overrides_the_status(failure: str) -> None:
    body = {"ok": False, "failureClass": failure, "reason": "why", "retryAfterMs": 250}
    told = judge(503, JSON, json.dumps(body).encode())
    assert (told.failure, told.reason, told.retry_after_ms) == (failure, "why", 250)


def test_a_refusal_without_a_class_keeps_the_status_verdict() -> None:
    assert judge(429, JSON, b'{"ok": false, "reason": "later"}').failure == "busy"


@pytest.mark.parametrize(
    "wrong",
    [
        {"failureClass": 7},
        {"failureClass": "tired"},
        {"failureClass": ""},
        {"reason": []},
        {"reason": ""},
        {"retryAfterMs": -1},
        {"retryAfterMs": 1.5},
    ],
)
def test_a_field_of_the_wrong_type_is_an_injection_failure(wrong: dict[str, object]) -> None:
    body = {"ok": False, "failureClass": "busy", **wrong}
    assert judge(429, JSON, json.dumps(body).encode()).failure == "injection_failed"


@pytest.mark.parametrize("odd", ["1", True, None, 0])
def test_a_retry_after_that_is_no_number_is_as_if_it_was_not_there(odd: object) -> None:
    body = {"ok": False, "failureClass": "busy", "retryAfterMs": odd}
    told = judge(429, JSON, json.dumps(body).encode())
    assert (told.failure, told.retry_after_ms) == ("busy", None)
