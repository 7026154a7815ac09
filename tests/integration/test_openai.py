"""The OpenAI-style runner, against a real HTTP server."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from raftsup.backoff import Backoff
from raftsup.config.model import OpenAIAgent
from raftsup.paths import StateDir
from raftsup.runners import Finding, Seat, Step, Stop, Work
from raftsup.runners.openai import http as openai_http
from raftsup.runners.openai import live as openai_live
from raftsup.runners.openai import runner as openai
from raftsup.runners.openai.live import try_out
from raftsup.runners.openai.runner import OpenAIRunner
from raftsup.runners.transcript import is_free, open_locked
from raftsup.turn import Outcome, OutcomeKind, State, Turn, notice

KEY = "sk-very-secret"
SAID = "what the agent said last"
NOTICE = notice(("raft",), "two words")

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "PAUSE", Backoff(base=0.002, cap=0.002))


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    state = StateDir(tmp_path / "s")
    state.prepare()
    return state


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answer(status: int = 200, data: object = None, **headers: str) -> Answering:
    async def respond(request: web.Request) -> web.StreamResponse:
        body = data if data is not None else {"error": {"type": "kind", "message": SAID}}
        return web.json_response(
            body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return respond


def said(api: str = "responses", ended: str = "") -> Answering:
    if api == "chat":
        choice = {"message": {"content": SAID}, "finish_reason": ended or "stop"}
        return answer(data={"choices": [choice]})
    parts = [{"type": "output_text", "text": SAID}]
    output = [{"type": "message", "content": parts}]
    return answer(data={"status": ended or "completed", "output": output})


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"half')
    return await hang_up(request)


class Endpoint:
    """Answers in the given order, the last for ever; keeps what it was asked."""

    def __init__(self, *answers: Answering) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[web.Request, Any]] = []
        self.url = ""
        self.hung = asyncio.Event()
        self.noticed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        content = await request.json() if request.can_read_body else None
        self.asked.append((request, content))
        return await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)

    async def hang(self, request: web.Request) -> web.StreamResponse:
        self.hung.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.noticed.set()
        raise AssertionError

    def headers(self, name: str) -> list[str | None]:
        return [request.headers.get(name) for request, _ in self.asked]


@asynccontextmanager
async def serving(
    *answers: Answering, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(*answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", endpoint.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    endpoint.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
    try:
        yield endpoint
    finally:
        await runner.cleanup()


def agent_at(url: str, **more: Any) -> OpenAIAgent:
    return OpenAIAgent(url, "openclaw/main", **{"api_key": KEY, **more})


def work_in(state: StateDir, **more: Any) -> Work:
    turn = Turn(7, "support", State.RUNNING, attempt=2)
    path = state.transcript(7, 2)
    return dataclasses.replace(Work(turn, "two words", NOTICE, path, 10_000, {}), **more)


def seat_in(state: StateDir, agent: OpenAIAgent, changed: Callable[[], None]) -> Seat[OpenAIAgent]:
    return Seat(agent, "support", {}, state, changed)


async def run(
    state: StateDir,
    agent: OpenAIAgent,
    stop: Stop | None = None,
    changed: Callable[[], None] = lambda: None,
    **work: Any,
) -> tuple[Outcome, OpenAIRunner]:
    stop = stop or asyncio.get_running_loop().create_future()
    runner = OpenAIRunner(seat_in(state, agent, changed))
    outcome = await asyncio.wait_for(runner.run(work_in(state, **work), stop), 30)
    assert is_free(state.transcript(7, 2))
    return outcome, runner


def transcript(state: StateDir) -> str:
    return state.transcript(7, 2).read_text()


@pytest.mark.parametrize(
    ("api", "path"), [("responses", "/v1/responses"), ("chat", "/v1/chat/completions")]
)
def test_a_turn_is_one_request_and_its_text_is_in_the_transcript_alone(
    state: StateDir, api: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    steps: list[Step] = []

    async def story() -> tuple[Outcome, Endpoint]:
        async with serving(said(api)) as endpoint:
            agent = agent_at(endpoint.url, api=api, session_header="X-Session")
            return (await run(state, agent, report=steps.append))[0], endpoint

    outcome, endpoint = asyncio.run(story())
    assert outcome == Outcome(OutcomeKind.SUCCEEDED)
    assert transcript(state) == SAID
    assert steps == [Step("thinking")]
    ((request, asked),) = endpoint.asked
    assert (request.method, request.path) == ("POST", path)
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["X-Session"] == asked["user"] == "raft:support"
    assert NOTICE in (asked.get("input"), asked.get("messages", [{}])[0].get("content"))
    others = [path for path in state.root.rglob("*") if path.is_file() and "turns" not in str(path)]
    for text in [caplog.text, outcome.reason, *(path.read_text() for path in others)]:
        assert not any(secret in text for secret in (KEY, NOTICE, "Raft woke", SAID))


def test_a_long_text_is_cut_to_the_transcripts_limit(state: StateDir) -> None:
    async def story() -> Outcome:
        async with serving(said()) as endpoint:
            return (await run(state, agent_at(endpoint.url), limit=10))[0]

    assert asyncio.run(story()).kind is OutcomeKind.SUCCEEDED
    assert (
        transcript(state) == f"{SAID[:5]}\n[... {len(SAID) - 10} bytes left out ...]\n{SAID[-5:]}"
    )


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_a_server_in_trouble_is_asked_again_under_the_same_key(
    state: StateDir, status: int
) -> None:
    async def story() -> tuple[Outcome, Endpoint]:
        async with serving(answer(status), answer(status, Retry_After="0"), said()) as endpoint:
            return (await run(state, agent_at(endpoint.url)))[0], endpoint

    outcome, endpoint = asyncio.run(story())
    assert outcome == Outcome(OutcomeKind.SUCCEEDED)
    keys = endpoint.headers("Idempotency-Key")
    assert len(keys) == 3 and len(set(keys)) == 1
    assert str(keys[0]).startswith("raftsup-7-2-")


def test_two_hosts_with_the_same_numbers_never_share_a_key(state: StateDir) -> None:
    async def story() -> Endpoint:
        async with serving(said()) as endpoint:
            await run(state, agent_at(endpoint.url))
            await run(state, agent_at(endpoint.url))
            return endpoint

    assert len(set(asyncio.run(story()).headers("Idempotency-Key"))) == 2


def test_a_rest_that_was_asked_for_is_waited(state: StateDir) -> None:
    async def story() -> tuple[Outcome, float]:
        async with serving(answer(503, Retry_After="1"), said()) as endpoint:
            began = time.monotonic()
            return (await run(state, agent_at(endpoint.url)))[0], time.monotonic() - began

    outcome, took = asyncio.run(story())
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert took >= 1.0


@pytest.mark.parametrize("status", [429, 500])
def test_a_server_that_stays_in_trouble_fails_the_attempt(
    state: StateDir, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai, "PATIENCE", 0.1)

    async def story() -> tuple[Outcome, OpenAIRunner]:
        async with serving(answer(status)) as endpoint:
            return await run(state, agent_at(endpoint.url))

    outcome, runner = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert f"({status} kind)" in outcome.reason
    assert runner.unavailable() == ""


def test_a_long_rest_costs_no_attempt_and_is_told_until_it_is_over(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai, "PATIENCE", 0.5)

    async def story() -> tuple[Outcome, list[str], int]:
        seen: list[str] = []
        over = asyncio.Event()

        def changed() -> None:
            seen.append(runners[0].unavailable() if runners else "")
            if len(seen) == 2:
                over.set()

        runners: list[OpenAIRunner] = []
        async with serving(answer(429, Retry_After="1")) as endpoint:
            runner = OpenAIRunner(seat_in(state, agent_at(endpoint.url), changed))
            runners.append(runner)
            stop: Stop = asyncio.get_running_loop().create_future()
            outcome = await runner.run(work_in(state), stop)
            await asyncio.wait_for(over.wait(), 10)
            await runner.close()
            return outcome, seen, len(endpoint.asked)

    outcome, seen, asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.POSTPONED
    assert asked == 1
    assert "asked for rest until" in seen[0] and "429" in seen[0]
    assert seen[1] == ""


def test_a_closed_runner_speaks_no_more(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> list[asyncio.TimerHandle]:
        async with serving(answer(429, Retry_After="3000")) as endpoint:
            _, runner = await run(state, agent_at(endpoint.url))
            await runner.close()
            timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
            return [timer for timer in timers if not timer.cancelled()]

    left = asyncio.run(story())
    assert not [timer for timer in left if "_rested" in repr(timer)]


def test_an_endpoint_that_is_not_there_costs_no_attempt(
    state: StateDir, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai, "PATIENCE", 0.05)
    url = f"http://127.0.0.1:{unused_port}/v1"

    async def story() -> Outcome:
        return (await run(state, agent_at(url)))[0]

    assert asyncio.run(story()) == Outcome(
        OutcomeKind.POSTPONED, f"cannot reach {url}/responses: Connection refused"
    )


def test_an_endpoint_that_comes_up_in_time_is_found(
    state: StateDir, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = asyncio.Event()

    async def exchange(*asked: Any) -> openai_http.Answer:
        try:
            return await openai_http.exchange(*asked)
        except openai_http.NotSent:
            refused.set()
            raise

    monkeypatch.setattr(openai, "exchange", exchange)

    async def story() -> Outcome:
        running = asyncio.ensure_future(run(state, agent_at(f"http://127.0.0.1:{unused_port}/v1")))
        await asyncio.wait_for(refused.wait(), 10)
        async with serving(said(), port=unused_port):
            return (await running)[0]

    assert asyncio.run(story()) == Outcome(OutcomeKind.SUCCEEDED)


@pytest.mark.parametrize("lost", [hang_up, half])
def test_a_connection_lost_after_the_request_is_not_tried_again(
    state: StateDir, lost: Answering
) -> None:
    async def story() -> tuple[Outcome, int]:
        async with serving(lost) as endpoint:
            return (await run(state, agent_at(endpoint.url)))[0], len(endpoint.asked)

    outcome, asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason.endswith("the agent may go on all the same")
    assert asked == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "does not take the request (400 kind)"),
        (401, "refused the key (401 kind)"),
        (403, "refused the key (403 kind)"),
        (404, "`gateway.http.endpoints.responses.enabled: true`"),
        (504, "gave up waiting (504 kind)"),
    ],
)
def test_a_refusal_ends_the_attempt_and_says_what_to_do(
    state: StateDir, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story() -> tuple[Outcome, int]:
        async with serving(answer(status)) as endpoint:
            return (await run(state, agent_at(endpoint.url)))[0], len(endpoint.asked)

    outcome, asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert words in outcome.reason
    assert asked == 1
    assert not any(secret in outcome.reason + caplog.text for secret in (KEY, SAID))


def test_a_redirect_is_not_followed_with_the_key(state: StateDir) -> None:
    async def story() -> tuple[Outcome, int]:
        async with serving(said()) as other, serving(answer(307, Location=other.url)) as endpoint:
            outcome, _ = await run(state, agent_at(endpoint.url))
            assert other.url.split("/")[2] in outcome.reason
            return outcome, len(other.asked)

    outcome, asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert asked == 0


def test_an_endless_answer_is_not_read_to_its_end(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_http, "LONGEST", 1 << 20)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b" " * 65536)
        return response

    async def story() -> Outcome:
        async with serving(endless) as endpoint:
            return (await run(state, agent_at(endpoint.url)))[0]

    outcome = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert "answered more than 1 MiB" in outcome.reason


def test_an_answer_that_is_no_json_fails(state: StateDir) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text=f"<html>{SAID}", content_type="text/html")

    async def story() -> Outcome:
        async with serving(page) as endpoint:
            return (await run(state, agent_at(endpoint.url)))[0]

    assert asyncio.run(story()) == Outcome(
        OutcomeKind.FAILED, "the endpoint answered something that is not JSON; check `baseUrl`"
    )
    assert transcript(state) == ""


@pytest.mark.parametrize(("api", "ended"), [("chat", "length"), ("responses", "incomplete")])
def test_an_answer_that_is_not_whole_fails_and_its_text_is_kept(
    state: StateDir, api: Any, ended: str
) -> None:
    async def story() -> Outcome:
        async with serving(said(api, ended)) as endpoint:
            return (await run(state, agent_at(endpoint.url, api=api)))[0]

    outcome = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED and outcome.reason.endswith(ended)
    assert transcript(state) == SAID


@pytest.mark.parametrize(
    "kind", [OutcomeKind.TIMED_OUT, OutcomeKind.CANCELLED, OutcomeKind.INTERRUPTED]
)
def test_a_turn_that_must_end_hangs_up_and_says_what_may_go_on(
    state: StateDir, kind: OutcomeKind
) -> None:
    async def story() -> Outcome:
        async with serving(said()) as endpoint:
            endpoint.answers = [endpoint.hang]
            stop: Stop = asyncio.get_running_loop().create_future()
            running = asyncio.ensure_future(run(state, agent_at(endpoint.url), stop))
            await asyncio.wait_for(endpoint.hung.wait(), 10)
            stop.set_result(kind)
            outcome, _ = await running
            await asyncio.wait_for(endpoint.noticed.wait(), 10)
            return outcome

    outcome = asyncio.run(story())
    assert outcome.kind is kind
    assert outcome.reason.startswith("hung up on the endpoint; the agent goes on unless")


def test_a_turn_that_must_end_between_two_tries_leaves_nothing_under_way(
    state: StateDir,
) -> None:
    async def story() -> tuple[Outcome, int]:
        stop: Stop = asyncio.get_running_loop().create_future()

        async def refuse(request: web.Request) -> web.StreamResponse:
            asyncio.get_running_loop().call_later(0.1, stop.set_result, OutcomeKind.CANCELLED)
            return await answer(503, Retry_After="20")(request)

        async with serving(refuse) as endpoint:
            return (await run(state, agent_at(endpoint.url), stop))[0], len(endpoint.asked)

    outcome, asked = asyncio.run(story())
    assert outcome == Outcome(OutcomeKind.CANCELLED, "no request was under way")
    assert asked == 1


def test_a_stop_that_came_before_the_start_sends_nothing(state: StateDir) -> None:
    async def story() -> tuple[Outcome, int]:
        stop: Stop = asyncio.get_running_loop().create_future()
        stop.set_result(OutcomeKind.CANCELLED)
        async with serving(said()) as endpoint:
            return (await run(state, agent_at(endpoint.url), stop))[0], len(endpoint.asked)

    assert asyncio.run(story()) == (Outcome(OutcomeKind.CANCELLED, "nothing was sent"), 0)


def test_a_transcript_that_is_still_locked_starts_no_second_attempt(state: StateDir) -> None:
    lock = open_locked(state.transcript(7, 2))

    async def story() -> tuple[Outcome, int]:
        async with serving(said()) as endpoint:
            runner = OpenAIRunner(seat_in(state, agent_at(endpoint.url), lambda: None))
            stop: Stop = asyncio.get_running_loop().create_future()
            return await runner.run(work_in(state), stop), len(endpoint.asked)

    outcome, asked = asyncio.run(story())
    os.close(lock)
    assert (outcome.kind, asked) == (OutcomeKind.POSTPONED, 0)


def test_a_proxy_of_the_environment_is_used(state: StateDir) -> None:
    async def story() -> tuple[Outcome, Endpoint]:
        async with serving(said()) as proxy:
            env = {"http_proxy": proxy.url.removesuffix("/v1")}
            agent = agent_at("http://agent.test/v1")
            return (await run(state, agent, env=env))[0], proxy

    outcome, proxy = asyncio.run(story())
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert proxy.headers("Host") == ["agent.test"]


def test_a_proxy_that_opens_no_tunnel_has_let_nothing_out(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai, "PATIENCE", 0.0)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    seen: list[bytes] = []

    async def story() -> Outcome:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            env = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}
            return (await run(state, agent_at("https://agent.test/v1"), env=env))[0]

    outcome = asyncio.run(story())
    assert outcome.kind is OutcomeKind.POSTPONED
    assert outcome.reason.endswith("the proxy refused the connection (403)")
    assert seen[0].startswith(b"CONNECT agent.test:443") and KEY.encode() not in seen[0]


@pytest.fixture
def untrusted(tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_an_untrusted_certificate_gets_no_request(
    state: StateDir, untrusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai, "PATIENCE", 0.0)

    async def story() -> tuple[Outcome, list[Finding], int]:
        async with serving(said(), tls=untrusted) as endpoint:
            agent = agent_at(endpoint.url)
            return (await run(state, agent))[0], await try_out(agent, {}), len(endpoint.asked)

    outcome, (found,), asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.POSTPONED
    assert "its certificate is not trusted" in outcome.reason and "SSL_CERT_FILE" in outcome.reason
    assert not found.good and "its certificate is not trusted" in found.text
    assert asked == 0


def tried(*answers: Answering, model: str = "gpt-large") -> tuple[list[Finding], Endpoint]:
    async def story() -> tuple[list[Finding], Endpoint]:
        async with serving(*answers) as endpoint:
            agent = dataclasses.replace(agent_at(endpoint.url), model=model)
            return await try_out(agent, {}), endpoint

    return asyncio.run(story())


MODELS = answer(data={"data": [{"id": "gpt-large"}, {"id": "openclaw/main"}]})


def test_a_live_check_asks_for_the_models_with_the_key_and_calls_none() -> None:
    (found,), endpoint = tried(MODELS)
    assert found.good and "knows the model gpt-large" in found.text
    assert [(r.method, r.path) for r, _ in endpoint.asked] == [("GET", "/v1/models")]
    assert endpoint.headers("Authorization") == [f"Bearer {KEY}"]


def test_a_live_check_of_a_gateway_asks_also_for_the_path_of_its_agent() -> None:
    (known, there), endpoint = tried(MODELS, answer(400), model="openclaw/main")
    assert known.good and there.good
    assert (endpoint.asked[1][0].path, endpoint.asked[1][1]) == ("/v1/responses", {})
    (_, there), _ = tried(MODELS, answer(404), model="openclaw/main")
    assert not there.good and "endpoints.responses.enabled" in there.text


@pytest.mark.parametrize(
    ("answers", "good", "words"),
    [
        (answer(404), True, "could not be checked"),
        (answer(401), False, "refused the key"),
        (answer(403), False, "refused the key"),
        (answer(503), False, "takes no request now"),
        (answer(302, Location="https://login.test/"), False, "redirects to login.test"),
        (answer(data={"data": [{"id": "gpt-larger"}]}), False, "such as gpt-larger"),
        (hang_up, False, "hung up without an answer"),
    ],
)
def test_a_live_check_says_what_is_wrong(answers: Answering, good: bool, words: str) -> None:
    (found,), _ = tried(answers)
    assert found.good is good
    assert words in found.text and KEY not in found.text and SAID not in found.text


def test_a_live_check_ends_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_live, "PATIENCE", 0.2)

    async def story() -> list[Finding]:
        async with serving(said()) as endpoint:
            endpoint.answers = [endpoint.hang]
            return await try_out(agent_at(endpoint.url), {})

    (found,) = asyncio.run(story())
    assert not found.good and found.text.endswith("gave no answer in 0.2 s")


def test_a_live_check_of_nothing_says_that_it_is_not_there(unused_port: int) -> None:
    async def story() -> list[Finding]:
        return await try_out(agent_at(f"http://127.0.0.1:{unused_port}/v1"), {})

    (found,) = asyncio.run(story())
    assert not found.good and found.text.endswith("Connection refused")
