"""What the bridge makes of the server's answers on the routes that only bridges ask."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from raftsup.sim import daemon_api, wire
from raftsup.sim.agent_api import AgentApi, ApiAnswer, read
from raftsup.sim.cli_errors import CliError
from raftsup.sim.daemon_api import Transient

JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html"}
HINT = {"event_id": "wake-hint:1", "message_id": "m1", "seq": 1, "target": "#a"}


class Server:
    """Gives one answer; None is none."""

    def __init__(self, answer: ApiAnswer | None) -> None:
        self.answer = answer

    def get(self, path: str, **query: object) -> ApiAnswer:
        if self.answer is None:
            raise wire.Refused("nobody there")
        return self.answer

    def post(self, path: str, body: object) -> ApiAnswer:
        return self.get(path)


def asked(answer: ApiAnswer | None, next: bool = False) -> daemon_api.Pending:
    api = cast("AgentApi", Server(answer))
    return daemon_api.wake_hints(api, "latest", 50, next=next)


def page(**fields: Any) -> ApiAnswer:
    return read(200, JSON, json.dumps(fields).encode())


def test_hints_have_two_names_and_so_has_the_last_of_them() -> None:
    assert asked(page(wake_hints=[HINT], last_hint_seq=1, has_more=False)) == ([HINT], 1)
    assert asked(page(hints=[HINT], last_seen_hint_seq=2, last_hint_seq=1)) == ([HINT], 2)
    assert asked(page()) == ([], None)


@pytest.mark.parametrize("headers", [JSON, HTML])
def test_5xx_passes_with_json_or_without(headers: dict[str, str]) -> None:
    body = b'{"error": "down"}' if headers is JSON else b"<html>"
    with pytest.raises(Transient, match="down" if headers is JSON else "HTTP 503") as raised:
        asked(read(503, headers, body))
    assert raised.value.code == "SERVER_5XX"


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (None, "CHECK_FAILED", "Daemon API wakeHintsFetch transport request failed"),
        (read(403, JSON, b'{"error": "revoked"}'), "BRIDGE_WAKE_HINTS_FAILED", "revoked"),
        (read(404, HTML, b""), "BRIDGE_WAKE_HINTS_FAILED", "HTTP 404"),
        # Also of a 5xx: what is called JSON must be JSON.
        (read(503, JSON, b"<html>"), "INVALID_JSON_RESPONSE", "did not contain valid JSON"),
        # What a captive portal says.
        (read(200, HTML, b"<html>"), "INVALID_JSON_RESPONSE", "did not contain valid JSON"),
        (page(wake_hints={}), "INVALID_JSON_RESPONSE", "path=wake_hints; expected_kind=array"),
        (page(wake_hints=[7]), "INVALID_JSON_RESPONSE", r"path=wake_hints\[\*\]; "),
        (page(wake_hints=[{**HINT, "seq": "1"}]), "INVALID_JSON_RESPONSE", "actual_kind=string"),
        (page(hints=[{**HINT, "target": None}]), "INVALID_JSON_RESPONSE", "actual_kind=null"),
        (page(hints=[{**HINT, "seq": None}]), "INVALID_JSON_RESPONSE",
         "expected_kind=number; actual_kind=null"),
        (page(hints=[{**HINT, "seq": -1}]), "INVALID_JSON_RESPONSE", "expected_kind=unknown"),
        (page(has_more=None), "INVALID_JSON_RESPONSE", "path=has_more; expected_kind=boolean"),
        (page(last_hint_seq="1"), "INVALID_JSON_RESPONSE", "path=last_hint_seq"),
        (read(200, JSON, b"[]"), "INVALID_JSON_RESPONSE", "path=<root>; expected_kind=object"),
    ],
)  # fmt: skip
def test_all_else_ends_it(answer: ApiAnswer | None, code: str, told: str) -> None:
    with pytest.raises(CliError, match=told) as raised:
        asked(answer)
    assert raised.value.code == code


def test_a_newer_cli_takes_a_hint_without_target() -> None:
    hint = {**HINT, "target": None, "message_id": None, "other": {"a": 1}}
    assert asked(page(wake_hints=[hint]), next=True).hints == [hint]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, "CHECK_FAILED"),
        (read(503, HTML, b""), "SERVER_5XX"),
        (read(403, JSON, b"{}"), "BRIDGE_ACTIVITY_FORWARD_FAILED"),
        (read(200, HTML, b"fine"), "INVALID_JSON_RESPONSE"),
    ],
)
def test_activity_that_is_not_taken_has_a_code(answer: ApiAnswer | None, code: str) -> None:
    with pytest.raises(CliError) as raised:
        daemon_api.forward(cast("AgentApi", Server(answer)), {})
    assert raised.value.code == code


def test_a_scope_that_is_missing_is_told_as_the_cli_does() -> None:
    denied = read(403, JSON, b'{"error": "no", "requiredScope": "action:prepare"}')
    assert denied.code == "SCOPE_DENIED" and not denied.ok
    assert "lacks the `action:prepare` capability" in (denied.error or "")
