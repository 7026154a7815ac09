"""What is asked of an OpenAI-style endpoint, and what its answers mean."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.config.model import OpenAIAgent
from raftsup.runners.openai.answer import (
    LONGEST_REST,
    error_words,
    read,
    refusal,
    retry_after,
)
from raftsup.runners.openai.check import names_in, of_models, of_path
from raftsup.runners.openai.http import Answer
from raftsup.runners.openai.wire import (
    NoWay,
    body,
    credentials,
    headers,
    proxy_for,
    session_of,
    shown,
    url_of,
)

KEY = "sk-very-secret"
AGENT = OpenAIAgent("https://agent.test/v1/", "openclaw/main", api_key=KEY)
CHAT = OpenAIAgent("https://agent.test/v1/", "openclaw/main", api="chat", api_key=KEY)
NOW = 1_800_000_000.0


def test_the_notice_is_the_one_message_and_the_session_its_user() -> None:
    common = {"model": "openclaw/main", "user": "raft:support", "stream": False}
    assert body(AGENT, "raft:support", "wake") == {**common, "input": "wake"}
    assert body(CHAT, "raft:support", "wake") == {
        **common,
        "messages": [{"role": "user", "content": "wake"}],
    }


def test_a_slash_at_the_end_of_the_base_url_is_not_doubled() -> None:
    assert url_of(AGENT, "/responses") == "https://agent.test/v1/responses"


def test_a_url_is_shown_without_what_may_be_secret_in_it() -> None:
    assert shown("https://me:pass@agent.test:8443/v1?key=1") == "https://agent.test:8443/v1"


def test_the_key_goes_into_one_header_and_the_session_into_the_one_that_is_named() -> None:
    agent = OpenAIAgent(
        "http://h/v1",
        "m",
        api_key=KEY,
        session_header="X-Session",
        headers={"authorization": "Basic other", "X-Team": "blue"},
    )
    assert headers(agent, "raft:a", "id") == {
        "Authorization": f"Bearer {KEY}",
        "X-Team": "blue",
        "X-Session": "raft:a",
        "Idempotency-Key": "id",
    }


def test_without_a_key_the_configs_own_headers_authorize() -> None:
    agent = OpenAIAgent("http://h/v1", "m", headers={"Authorization": "Basic own"})
    assert credentials(agent) == {"Authorization": "Basic own"}


def test_the_session_of_the_config_comes_before_the_lanes() -> None:
    assert session_of(OpenAIAgent("http://h", "m", session="team"), "support") == "team"
    assert session_of(AGENT, "support") == "raft:support"


@given(st.text(min_size=1), st.text(min_size=1))
def test_each_lane_has_a_session_of_its_own_that_fits_a_header(one: str, other: str) -> None:
    one, other = (text.encode(errors="ignore").decode() for text in (one, other))
    names = session_of(AGENT, one), session_of(AGENT, other)
    assert all(name.isascii() and name.isprintable() for name in names)
    assert (names[0] == names[1]) == (one == other)


PROXIES = {"https_proxy": "http://p:1", "HTTP_PROXY": "q:2"}


@pytest.mark.parametrize(
    ("url", "env", "proxy"),
    [
        ("https://agent.test/v1", PROXIES, "http://p:1"),
        ("http://agent.test/v1", PROXIES, "http://q:2"),
        ("http://agent.test/v1", {"ALL_PROXY": "http://all:3"}, "http://all:3"),
        ("https://agent.test/v1", {}, None),
        ("https://agent.test/v1", {**PROXIES, "NO_PROXY": "a.b, .test"}, None),
        ("https://agent.test/v1", {**PROXIES, "no_proxy": "agent.test:443"}, None),
        ("https://agent.test/v1", {**PROXIES, "no_proxy": "agent.test:8443"}, "http://p:1"),
        ("https://agent.test/v1", {**PROXIES, "no_proxy": "gent.test"}, "http://p:1"),
        ("https://agent.test/v1", {**PROXIES, "no_proxy": "*"}, None),
        ("https://127.0.0.9:1/v1", PROXIES, None),
        ("http://[::1]:1/v1", PROXIES, None),
        ("http://localhost:1/v1", PROXIES, None),
    ],
)
def test_the_proxy_is_the_environments_and_none_stands_before_loopback(
    url: str, env: dict[str, str], proxy: str | None
) -> None:
    assert proxy_for(url, env) == proxy


def test_a_proxy_that_cannot_be_used_is_named_by_its_variable_without_its_password() -> None:
    with pytest.raises(NoWay, match="ALL_PROXY names a proxy of the kind socks5") as told:
        proxy_for("https://agent.test", {"ALL_PROXY": "socks5://me:pass@p:1"})
    assert "pass" not in str(told.value)


@given(st.integers(0, 10_000))
def test_a_rest_in_seconds_is_waited_up_to_the_longest(seconds: int) -> None:
    assert retry_after(f" {seconds} ", NOW) == min(seconds, LONGEST_REST)


@given(st.integers(-10_000, 10_000))
def test_a_rest_until_a_date_is_waited_up_to_the_longest(ahead: int) -> None:
    date = format_datetime(datetime.fromtimestamp(NOW + ahead, UTC), usegmt=True)
    assert retry_after(date, NOW) == min(max(ahead, 0), LONGEST_REST)


@given(
    st.text(max_size=40)
    | st.from_regex(r"[0-9]{1,400}(\.[0-9]*)?")
    | st.from_regex(r"Fri, [0-9]{1,3} Nov [0-9]{1,9} [0-9]{2}:[0-9]{2}:[0-9]{2} [-+A-Z0-9]{0,6}")
)
def test_no_header_makes_a_rest_that_is_negative_or_endless(value: str) -> None:
    rest = retry_after(value, NOW)
    assert rest is None or 0 <= rest <= LONGEST_REST


@pytest.mark.parametrize("value", ["", "soon", "-5", "1e9", "inf", "٣"])
def test_a_rest_that_cannot_be_read_is_none(value: str) -> None:
    assert retry_after(value, NOW) is None


def chat(**choice: Any) -> bytes:
    return orjson.dumps({"choices": [{"message": {"content": "done"}, **choice}]})


def response(**more: Any) -> bytes:
    said = {"type": "message", "content": [{"type": "output_text", "text": "done"}]}
    return orjson.dumps({"status": "completed", "output": [{"type": "reasoning"}, said], **more})


def test_a_whole_answer_succeeds_with_its_text() -> None:
    for reading in (
        read("chat", chat(finish_reason="stop")),
        read("chat", chat()),
        read("responses", response()),
    ):
        assert (reading.trouble, reading.text) == ("", "done")


def test_an_agent_that_says_nothing_has_succeeded_too() -> None:
    assert read("chat", chat(message={"content": None}, finish_reason="stop")).trouble == ""
    assert read("responses", response(output=[])).trouble == ""


@pytest.mark.parametrize("word", ["length", "content_filter", "tool_calls", "never-heard-of"])
def test_a_completion_that_was_cut_short_fails_with_the_word(word: str) -> None:
    reading = read("chat", chat(finish_reason=word))
    assert reading.trouble == f"the answer is not whole: finish_reason {word}"
    assert reading.text == "done"


@pytest.mark.parametrize("status", ["failed", "cancelled", "in_progress", "queued"])
def test_a_response_that_did_not_complete_fails_with_its_status(status: str) -> None:
    reading = read("responses", response(status=status))
    assert reading.trouble == f"the answer is not whole: status {status}"


def test_the_reason_of_an_incomplete_response_is_told() -> None:
    details = {"reason": "max_output_tokens"}
    reading = read("responses", response(status="incomplete", incomplete_details=details))
    assert reading.trouble.endswith("status incomplete (max_output_tokens)")
    assert reading.text == "done"
    error = {"code": "server_error", "message": "secret"}
    assert read("responses", response(status="failed", error=error)).trouble.endswith(
        "status failed (server_error)"
    )


def test_a_tool_that_only_we_could_call_is_no_whole_answer() -> None:
    called = chat(message={"content": "", "tool_calls": [{"id": "1"}]}, finish_reason="stop")
    assert read("chat", called).trouble.endswith("finish_reason tool_calls")
    assert (
        "function_call" in read("responses", response(output=[{"type": "function_call"}])).trouble
    )


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_failure_inside_a_success_is_a_failure(api: Any) -> None:
    data = orjson.dumps({"error": {"code": 502, "type": "provider", "message": "secret"}})
    assert read(api, data).trouble == "the endpoint reports an error (provider 502)"


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b"\xff"])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_is_no_answer_says_which_setting_to_check(api: Any, data: bytes) -> None:
    assert "check `baseUrl`" in read(api, data).trouble


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "finish_reason", "output", "status", "type"]
                + ["error", "code", "incomplete_details", "reason", "text", "data", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["chat", "responses"]))
def test_no_json_breaks_the_reading(value: Any, api: Any) -> None:
    data = orjson.dumps(value)
    reading = read(api, data)
    assert isinstance(reading.text, str)
    assert len(reading.trouble) < 300 and (not reading.trouble or reading.trouble.isprintable())
    names_in(data)
    refusal(AGENT, 400, data)


@given(st.text(max_size=80), st.text(max_size=80), st.integers(300, 599))
def test_of_a_refusal_only_single_words_are_repeated(kind: str, code: str, status: int) -> None:
    error = {"message": "what the agent read", "type": kind, "code": code}
    data = orjson.dumps({"error": error}) if kind.isascii() and code.isascii() else b"text"
    text = refusal(AGENT, status, data, f"https://evil.test/{code}")
    assert "what the agent read" not in text and KEY not in text
    assert text.isprintable() and len(text) < 500
    assert all(
        len(word) <= 64 and " " not in word for word in error_words({"error": error}).split()
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, ["refused the key", "`apiKey`", "401"]),
        (403, ["refused the key", "`apiKey`", "403"]),
        (404, ["https://agent.test/v1/responses", "openclaw/main", "endpoints.responses.enabled"]),
        (400, ["400 invalid_request_error bad_model", "openclaw/main"]),
        (504, ["gave up waiting", "may go on"]),
        (429, ["takes no request now"]),
        (500, ["broke off", "the endpoint's own log"]),
    ],
)
def test_a_refusal_says_what_to_do(status: int, words: list[str]) -> None:
    error = {"type": "invalid_request_error", "code": "bad_model", "message": "secret"}
    text = refusal(AGENT, status, orjson.dumps({"error": error}))
    assert all(word in text for word in words), text


def test_a_missing_key_is_asked_for_and_a_missing_chat_path_by_its_own_setting() -> None:
    assert "set `apiKey`" in refusal(OpenAIAgent("http://h/v1", "m"), 401, b"")
    assert "endpoints.chatCompletions.enabled" in refusal(CHAT, 404, b"")


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://me:pass@other.test:8443/x?token=1", "other.test:8443"),
        ("/elsewhere", "another path"),
        ("http://[bad", "an address that cannot be read"),
        ("http://a b/", "an address that cannot be read"),
    ],
)
def test_a_redirect_is_named_by_its_host_alone(location: str, named: str) -> None:
    assert f"redirects to {named} (307)" in refusal(AGENT, 307, b"", location)


def listing(*names: str) -> Answer:
    return Answer(200, orjson.dumps({"data": [{"id": name} for name in names]}))


@pytest.mark.parametrize("model", ["openclaw/main", "openclaw:main", "agent:MAIN"])
def test_a_listed_model_is_good_by_each_of_its_names(model: str) -> None:
    agent = OpenAIAgent("http://h/v1", model)
    assert of_models(agent, listing("openclaw", "openclaw/main")).good


def test_an_unknown_model_is_bad_and_near_ones_are_named() -> None:
    agent = OpenAIAgent("http://h/v1", "openclaw/mian")
    found = of_models(agent, listing("openclaw/default", "openclaw/main", "gpt"))
    assert not found.good
    assert "knows no model openclaw/mian" in found.text and "openclaw/main" in found.text
    assert "gpt" not in found.text


def test_what_cannot_be_checked_is_said_and_is_not_bad() -> None:
    for answer in (Answer(404, b""), Answer(200, b"<html>"), listing()):
        found = of_models(AGENT, answer)
        assert found.good and "could not be checked" in found.text


def test_a_refused_list_and_a_missing_path_are_bad() -> None:
    assert not of_models(AGENT, Answer(401, b"")).good
    missing = of_path(AGENT, Answer(404, b"Not Found"))
    assert not missing.good and "endpoints.responses.enabled" in missing.text
    assert of_path(AGENT, Answer(400, b"{}")).good
    assert not of_path(AGENT, Answer(503, b"")).good
