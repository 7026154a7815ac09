"""An OpenAI-style endpoint that answers as it is told, and turns of an agent at it."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from raftsup.backoff import Backoff
from raftsup.config.model import OpenAIAgent
from raftsup.paths import StateDir
from raftsup.runners.base import AttemptSpec, RunnerContext, Stop
from raftsup.runners.openai.runner import Limits, OpenAIRunner
from raftsup.runners.transcript import is_free
from raftsup.turn import Outcome, State, Turn, notice

KEY = "sk-very-secret"
SAID = "what the agent said last"
NOTICE = notice(("raft",), "two words")


Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


def work_in(state: StateDir, **more: Any) -> AttemptSpec:
    turn = Turn(7, "support", State.RUNNING, attempt=2)
    path = state.transcript(7, 2)
    return dataclasses.replace(AttemptSpec(turn, "two words", NOTICE, path, 10_000, {}), **more)


#: Nobody waits for as long as in life.
QUICK = Limits(pause=Backoff(base=0.002, cap=0.002))


def seat_in(
    state: StateDir, agent: OpenAIAgent, changed: Callable[[], None]
) -> RunnerContext[OpenAIAgent]:
    return RunnerContext(agent, "support", {}, state, changed)


async def run(
    state: StateDir,
    agent: OpenAIAgent,
    stop: Stop | None = None,
    changed: Callable[[], None] = lambda: None,
    limits: Limits = QUICK,
    **work: Any,
) -> tuple[Outcome, OpenAIRunner]:
    stop = stop or asyncio.get_running_loop().create_future()
    runner = OpenAIRunner(seat_in(state, agent, changed), limits)
    outcome = await asyncio.wait_for(runner.run(work_in(state, **work), stop), 30)
    assert is_free(state.transcript(7, 2))
    return outcome, runner


def transcript(state: StateDir) -> str:
    return state.transcript(7, 2).read_text()
