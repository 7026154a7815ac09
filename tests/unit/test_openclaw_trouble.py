"""What a refused connection means, for the person who must fix it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.runners.openclaw import connect_errors
from raftsup.runners.openclaw.connect_errors import Trouble
from raftsup.runners.openclaw.frames import Hello
from raftsup.runners.openclaw.websocket import Refused


def refused(code: str, detail: str = "", message: str = "no", **more: Any) -> Refused:
    details = {"code": detail} if detail else {}
    details |= more.pop("details", {})
    return Refused({"code": code, "message": message, "details": details, **more})


def test_a_gateway_that_starts_is_asked_again_when_it_says() -> None:
    starting = refused("UNAVAILABLE", retryable=True, retryAfterMs=250)
    assert connect_errors.of_refusal(starting) == Trouble("it is starting", 0.25)
    assert connect_errors.of_refusal(refused("UNAVAILABLE")) == Trouble("it is starting", None)


@pytest.mark.parametrize("request_id", ["cd27761a-105e-41d6-b560-1b0ec9342069", "7"])
@pytest.mark.parametrize("retryable", [True, False])
def test_a_host_that_must_be_approved_names_the_request(request_id: str, retryable: bool) -> None:
    details = {"requestId": request_id, "reason": "not-paired"}
    asked = refused("NOT_PAIRED", "PAIRING_REQUIRED", details=details, retryable=retryable)
    assert connect_errors.of_refusal(asked) == Trouble(
        f"it does not know this host yet; run `openclaw devices approve {request_id}` on the"
        " Gateway's host",
        lasting=True,
    )


@pytest.mark.parametrize("request_id", ["x; rm -rf /", "$(id)", "--latest", "a\nb", "", None, 7])
def test_what_is_no_request_id_gets_into_no_command(request_id: object) -> None:
    asked = refused("NOT_PAIRED", "PAIRING_REQUIRED", details={"requestId": request_id})
    assert "`openclaw devices approve`" in connect_errors.of_refusal(asked).text


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("AUTH_TOKEN_MISMATCH", "gateway.auth.token"),
        ("AUTH_PASSWORD_MISMATCH", "gateway.auth.password"),
        ("AUTH_TOKEN_MISSING", "OPENCLAW_GATEWAY_TOKEN"),
        ("AUTH_PASSWORD_MISSING", "set the agent's password"),
        ("AUTH_SCOPE_MISMATCH", "openclaw devices approve"),
        ("AUTH_RATE_LIMITED", "too many wrong tokens"),
        ("DEVICE_IDENTITY_REQUIRED", "OPENCLAW_GATEWAY_TOKEN"),
    ],
)
def test_a_known_refusal_says_what_to_do_also_where_it_may_be_tried_again(
    detail: str, words: str
) -> None:
    for retryable in (False, True):
        told = connect_errors.of_refusal(refused("INVALID_REQUEST", detail, retryable=retryable))
        assert words in told.text and told.text.endswith(f"({detail})")
        assert told.lasting


@given(st.text(max_size=400), st.text(max_size=30))
def test_a_refusal_that_nobody_foresaw_is_told_in_one_line(message: str, code: str) -> None:
    told = connect_errors.of_refusal(refused("NEW", code, message))
    assert told.text.isprintable() and len(told.text) < 500


@pytest.mark.parametrize(
    ("after", "seconds"), [(1500, 1.5), (0, 0.0), (-1, None), ("1", None), (None, None)]
)
def test_the_wait_that_a_gateway_asks_for_is_in_seconds(
    after: object, seconds: float | None
) -> None:
    assert refused("UNAVAILABLE", retryAfterMs=after).retry_after == seconds


def test_a_gateway_that_gives_every_scope_is_no_trouble() -> None:
    scopes = ("operator.read", "operator.write", "operator.more")
    assert connect_errors.of_hello(Hello("2026.9.6", "boot", scopes, 0)) is None


def test_missing_scopes_are_named() -> None:
    told = connect_errors.of_hello(Hello("2026.9.6", "boot", ("operator.read",), 0))
    assert told is not None and "without operator.write;" in told.text
    told = connect_errors.of_hello(Hello("2026.9.6", "boot", (), 0))
    assert told is not None and "without operator.read and operator.write;" in told.text


def test_a_gateway_too_old_to_name_its_boot_is_told_of() -> None:
    told = connect_errors.of_hello(Hello("2026.3.1", "", ("operator.read", "operator.write"), 0))
    assert told == Trouble(
        "it is version 2026.3.1, which does not tell one boot from the next; raftsup needs 2026.9"
        " or newer",
        lasting=True,
    )
