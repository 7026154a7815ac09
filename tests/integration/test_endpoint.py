"""The wake endpoint's contract, line by line, over raw sockets to a true worker process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup.wake import BODY_LIMIT
from tests.integration.endpoint_child import (
    HOOK_TOKEN,
    TOKEN,
    Answer,
    Child,
    post,
    refused,
    start,
)

WAKE = {"schema": "raft-channel-wake.v1", "eventId": "event_1", "messageId": "m1"}


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with start(tmp_path_factory.mktemp("endpoint")) as running:
        yield running


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """The endpoint of an account that tells its activity, with one attempt under way."""
    with start(tmp_path_factory.mktemp("hooked"), env={"HOOKS": "1"}) as running:
        yield running


@pytest.fixture
def own_child(tmp_path: Path) -> Iterator[Child]:
    with start(tmp_path) as running:
        yield running


def test_a_wake_is_answered_202_with_the_bridges_session_and_rings_once(child: Child) -> None:
    answer = post(child, {**WAKE, "eventId": "fresh", "schema": "raft-channel-wake.v9", "new": {}})
    assert answer.status == 202
    assert answer.json == {"ok": True, "accepted": True, "runtimeSession": "session-1"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["connection"] == "close"
    assert child.events("accept")[-1] == ["accept", "fresh", "m1"]
    assert child.events("ring")[-1] == ["ring"]


def test_a_duplicate_is_a_success_that_says_so_and_does_not_ring(child: Child) -> None:
    post(child, {**WAKE, "eventId": "twice"})
    rings = len(child.events("ring"))
    answer = post(child, {**WAKE, "eventId": "twice"})
    assert answer.status == 202
    assert answer.json == {
        "ok": True,
        "accepted": True,
        "runtimeSession": "session-1",
        "duplicate": True,
    }
    assert len(child.events("ring")) == rings


def test_a_doorbell_that_fails_does_not_change_the_answer(own_child: Child) -> None:
    assert post(own_child, {"eventId": "no bell"}).status == 202
    assert 'action=doorbell.failed reason="ConnectionRefusedError' in own_child.stderr()


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "t\xf6ken"])
def test_a_wrong_token_is_401(child: Child, token: str | None) -> None:
    refused(post(child, WAKE, token=token), 401, "auth_revoked")


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}"]
)
def test_a_host_that_is_not_this_loopback_endpoint_is_403(child: Child, host: str | None) -> None:
    host = host and host.format(port=child.port)
    refused(post(child, WAKE, host=host), 403, "auth_revoked")
    refused(child.ask("GET", "/activity/drain", host=host), 403, "auth_revoked")
    refused(child.ask("GET", "/health", host=host), 403, "auth_revoked")


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}"])
def test_each_name_of_loopback_is_accepted(child: Child, host: str) -> None:
    assert post(child, WAKE, host=host.format(port=child.port)).status == 202


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe",
        b'{"eventId": "\xff"}',
        b'{"eventId": "a"} {}',
        b"[]",
        b'"wake"',
        b"1",
        b"null",
        b'\xef\xbb\xbf{"eventId": "a"}',
        b'{"eventId": NaN}',
        b'{"id": 1e400}',
        b'{"eventId": "a", "x": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"eventId": "a", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        {},
        {"eventId": ""},
        {"eventId": True},
        {"eventId": None, "id": []},
        {"eventId": "a", "text": "hi"},
        {"eventId": "a", "x": [{"PREVIEW": 1}]},
    ],
    ids=repr,
)
def test_what_is_no_content_free_wake_is_400(child: Child, payload: object) -> None:
    before = child.events("accept")
    refused(post(child, payload), 400, "injection_failed")
    assert child.events("accept") == before


def test_the_checks_come_in_the_contracts_order(child: Child) -> None:
    large = b"x" * (BODY_LIMIT + 1)
    assert post(child, large, token="wrong", host="evil.example").status == 401
    assert post(child, large, host="evil.example").status == 403
    assert post(child, large).status == 413
    assert post(child, b"x" * BODY_LIMIT).status == 400


def test_a_body_of_just_the_limit_is_taken_and_one_byte_more_is_413(child: Child) -> None:
    room = BODY_LIMIT - len(json.dumps({"eventId": "big", "pad": ""}))
    assert post(child, {"eventId": "big", "pad": "x" * room}).status == 202
    refused(post(child, {"eventId": "bigger", "pad": "x" * (room + 1)}), 413, "injection_failed")


def test_each_refused_wake_is_counted(child: Child) -> None:
    before = len(child.events("rejected"))
    post(child, b"{")
    post(child, WAKE, token="wrong")
    assert len(child.events("rejected")) == before + 2


def test_a_ledger_that_cannot_take_it_is_503_busy_with_a_delay(child: Child) -> None:
    answer = post(child, {"eventId": "disk full"})
    refused(answer, 503, "busy")
    assert answer.json["retryAfterMs"] == 1234
    assert "secret path" not in answer.json["error"]


def test_an_error_of_ours_is_500_and_its_log_holds_nothing_of_the_payload(child: Child) -> None:
    refused(post(child, {"eventId": "bug"}), 500, "injection_failed")
    assert "KeyError" in child.stderr()
    assert "payload value" not in child.stderr()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW", "CONNECT"])
def test_another_method_is_405_and_names_the_right_one(child: Child, method: str) -> None:
    answer = child.ask(method, "/wake")
    refused(answer, 405, "protocol_mismatch")
    assert answer.headers["allow"] == "POST"
    answer = child.ask("POST", "/health")
    refused(answer, 405, "protocol_mismatch")
    assert answer.headers["allow"] == "GET"


def test_head_is_405_without_a_body(child: Child) -> None:
    answer = child.ask("HEAD", "/health")
    assert (answer.status, answer.body) == (405, b"")


@pytest.mark.parametrize("path", ["/", "/wake/", "/Wake", "/wake/x", "/activity", "//wake", "/%ff"])
def test_any_other_path_is_404(child: Child, path: str) -> None:
    refused(child.ask("POST", path), 404, "no_session")


REPORT = {"schema": "raft-activity.v1", "hookEventName": "PreToolUse", "toolName": "Bash"}


def hook(child: Child, payload: object, **change: str | None) -> Answer:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return child.ask("POST", "/activity", body, **{"token": HOOK_TOKEN, **change})


def test_what_a_hook_reports_is_taken_for_its_attempt_with_202(hooked: Child) -> None:
    answer = hook(hooked, REPORT)
    assert (answer.status, answer.json) == (202, {"ok": True})
    assert answer.headers["connection"] == "close"
    assert hooked.events("hook")[-1] == ["hook", [17, 1], "PreToolUse", "Bash"]


@pytest.mark.parametrize("token", [None, "", "wrong", HOOK_TOKEN + "x", TOKEN, "t\xf6ken"])
def test_a_hook_needs_the_token_of_an_attempt_that_runs_and_not_the_bridges(
    hooked: Child, token: str | None
) -> None:
    before = hooked.events("hook")
    refused(hook(hooked, REPORT, token=token), 401, "auth_revoked")
    assert hooked.events("hook") == before


def test_a_hooks_token_opens_nothing_else(hooked: Child) -> None:
    refused(post(hooked, WAKE, token=HOOK_TOKEN), 401, "auth_revoked")
    refused(hooked.ask("GET", "/activity/drain", token=HOOK_TOKEN), 401, "auth_revoked")


def test_the_checks_of_a_report_come_in_the_wakes_order(hooked: Child) -> None:
    large = b"x" * (BODY_LIMIT + 1)
    assert hook(hooked, large, token="wrong", host="evil.example").status == 401
    refused(hook(hooked, large, host="evil.example"), 403, "auth_revoked")
    refused(hook(hooked, large), 413, "injection_failed")
    refused(hook(hooked, b"x" * BODY_LIMIT), 400, "injection_failed")


@pytest.mark.parametrize("key", ["toolInput", "tool_output", "TEXT", "unheard"])
def test_a_report_with_content_is_400_and_nothing_of_it_is_said_again(
    hooked: Child, key: str
) -> None:
    before = hooked.events("hook")
    answer = hook(hooked, {**REPORT, key: "the-secret-plan"})
    refused(answer, 400, "injection_failed")
    assert hooked.events("hook") == before
    assert "the-secret-plan" not in answer.json["error"] + hooked.stderr()


def test_a_refused_report_counts_as_no_refused_wake(hooked: Child) -> None:
    before = hooked.events("rejected")
    hook(hooked, b"{")
    hook(hooked, REPORT, token="wrong")
    assert hooked.events("rejected") == before


def test_activity_takes_posts_only(hooked: Child) -> None:
    answer = hooked.ask("GET", "/activity", token=HOOK_TOKEN)
    refused(answer, 405, "protocol_mismatch")
    assert answer.headers["allow"] == "POST"


def test_where_no_activity_is_told_a_report_is_404_and_says_what_is_missing(child: Child) -> None:
    answer = hook(child, REPORT)
    refused(answer, 404, "no_session")
    assert 'activity is not "turns"' in answer.json["error"]


@pytest.mark.parametrize("query", ["", "?max=1", "?max=50", "?max=99999999999999999999", "?x=y"])
def test_the_activity_drain_is_empty(child: Child, query: str) -> None:
    answer = child.ask("GET", f"/activity/drain{query}")
    assert answer.status == 200
    assert answer.json == {"schema": "raft-activity-drain.v1", "events": [], "dropped": 0}


@pytest.mark.parametrize("value", ["0", "00", "-1", "1.5", "x", "1e3", "", "%D9%A1"])
def test_a_bad_max_is_400(child: Child, value: str) -> None:
    refused(child.ask("GET", f"/activity/drain?max={value}"), 400, "injection_failed")


def test_the_activity_drain_needs_the_token(child: Child) -> None:
    refused(child.ask("GET", "/activity/drain", token=None), 401, "auth_revoked")


def test_health_needs_no_token_and_says_the_state_and_nothing_else(child: Child) -> None:
    answer = child.ask("GET", "/health", token=None)
    assert answer.status == 200
    assert answer.json == {"ok": True, "state": "ready"}


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "SCRIPT-NAME", "PATH_INFO", "X-Forwarded-Prefix"])
def test_no_header_rewrites_the_path(child: Child, name: str) -> None:
    assert child.ask("GET", "/health", extra=f"{name}: /health\r\n").status == 200
    assert child.ask("GET", "/x/health", extra=f"{name}: /x\r\n").status == 404


def test_a_repeated_token_header_is_401(child: Child) -> None:
    extra = f"x-raft-bridge-token: {TOKEN}\r\n"
    refused(post(child, WAKE, extra=extra), 401, "auth_revoked")


def test_a_token_header_spelled_with_underscores_is_no_token(child: Child) -> None:
    extra = f"x_raft_bridge_token: {TOKEN}\r\n"
    refused(post(child, WAKE, token=None, extra=extra), 401, "auth_revoked")


def test_a_repeated_host_is_refused(child: Child) -> None:
    refused(post(child, WAKE, extra="host: evil.example\r\n"), 400, "injection_failed")


def test_the_environment_does_not_move_the_endpoint(tmp_path: Path) -> None:
    hostile = {
        "PORT": "1",
        "WEB_CONCURRENCY": "7",
        "SCRIPT_NAME": "/x",
        "FORWARDED_ALLOW_IPS": "*",
        "GUNICORN_CMD_ARGS": "--bind 0.0.0.0:1 --keep-alive 60",
    }
    with start(tmp_path, env=hostile) as child:
        assert post(child, WAKE, extra="SCRIPT_NAME: /x\r\n").status == 202
        assert child.listens_on() == [("127.0.0.1", child.port)]


def test_term_only_asks_and_the_last_wakes_get_503_until_the_end(own_child: Child) -> None:
    own_child.terminate()
    own_child.wait_for("term")
    answer = post(own_child, WAKE)
    refused(answer, 503, "busy")
    assert answer.json["retryAfterMs"] > 0
    assert own_child.events("accept") == []
    assert own_child.ask("GET", "/health").json == {"ok": False, "state": "stopping"}
    refused(post(own_child, b"{"), 400, "injection_failed")
    own_child.finish()
    assert own_child.exit_code() == 0


def test_finish_ends_the_loop_though_senders_are_in_the_middle(own_child: Child) -> None:
    halves = [own_child.connect(b"POST /wake HTTP/1.1\r\nhost") for _ in range(10)]
    own_child.wait_until_accepted(halves)
    own_child.finish()
    for half in halves:
        refused(Answer.read(half), 503, "busy")
        half.close()
    assert own_child.exit_code() == 0


def test_a_finish_before_the_start_ends_it_at_once(tmp_path: Path) -> None:
    with start(tmp_path, env={"FINISH_FIRST": "1"}) as child:
        assert child.exit_code() == 0


def test_the_endpoint_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    with start(tmp_path, orphan=True) as child:
        child.orphan()
        child.wait_for("returned")


def test_nothing_is_printed_and_no_secret_is_logged(own_child: Child) -> None:
    post(own_child, WAKE)
    post(own_child, WAKE, extra="bad header: x\r\n")
    own_child.finish()
    assert own_child.exit_code() == 0
    assert own_child.stderr() == ""
    assert TOKEN not in own_child.stdout()
