"""A real OpenClaw Gateway for the bench, a tap on the way to it, and a bare client of it.

The tap and the client have a thread and an event loop of their own, and read without a pause:
a Gateway tells each connection of every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from bench_host import PATIENCE
from bench_rows import BenchError

from raftsup.runners.openclaw import frames
from tests.support.openclaw.gateway import Gateway, GatewayError, running_gateway

AGENT = "main"
#: The lane that the bare client's session would be of.
BARE = "bare"
#: Runs a coroutine on the thread's loop and gives back what it gave.
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def installed() -> Path | None:
    """Where OpenClaw is, if ``scripts/openclaw-env install`` has put it there."""
    if os.environ.get("RAFTSUP_OPENCLAW") == "off":
        return None
    script = Path(__file__).with_name("openclaw-env")
    done = subprocess.run([sys.executable, script, "path"], capture_output=True, text=True)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


@contextlib.contextmanager
def running(there: Path, folder: Path, model_url: str) -> Iterator[Gateway]:
    try:
        with running_gateway(there, folder, model_url, agents=(AGENT,)) as gateway:
            yield gateway
    except GatewayError as error:
        raise BenchError(str(error)) from error


def agent(url: str) -> dict[str, str]:
    """As raftsup's config has it; the token comes from the environment, see ``environ``."""
    return {"kind": "openclaw", "url": url, "agentId": AGENT}


def environ(gateway: Gateway) -> dict[str, str]:
    return {"OPENCLAW_GATEWAY_TOKEN": gateway.token}


def session(lane: str) -> str:
    """The key that raftsup gives a lane's session."""
    return f"agent:{AGENT}:raft:{lane}"


@contextlib.contextmanager
def loop() -> Iterator[Run]:
    """An event loop in a thread of its own."""
    own = asyncio.new_event_loop()
    thread = threading.Thread(target=own.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(work, own).result(PATIENCE)
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            raise BenchError(f"the Gateway did not answer the bench: {error!r}") from error

    try:
        yield run
    finally:
        own.call_soon_threadsafe(own.stop)
        thread.join()
        own.close()


@dataclass(frozen=True)
class Seen:
    """An ``agent`` request that went by: when it came (monotonic seconds), when its "accepted"."""

    session: str
    asked: float
    accepted: float


class Tap:
    """Passes WebSocket frames on, both ways, and notes when runs are asked for and accepted."""

    def __init__(self, url: str) -> None:
        self.url = ""
        self.seen: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        self._far = url
        self._asked: dict[tuple[int, str], tuple[str, float]] = {}
        self._connections = itertools.count()

    def next(self, session: str) -> Seen:
        """The next run, which must be of ``session``."""
        try:
            seen = self.seen.get(timeout=PATIENCE)
        except queue.Empty:
            raise BenchError(f"no run of {session} was accepted in {PATIENCE:g} s") from None
        if seen.session != session:
            raise BenchError(f"a run of {seen.session} came instead of one of {session}")
        return seen

    async def open(self) -> None:
        app = web.Application()
        app.router.add_get("/", self._serve)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=0.1).start()
        self.url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        near = web.WebSocketResponse(max_msg_size=0, compress=False)
        await near.prepare(request)
        number = next(self._connections)
        async with self._session.ws_connect(self._far, max_msg_size=0, compress=0) as far:
            ways = {
                asyncio.ensure_future(_pass(near, far, lambda *seen: self._up(number, *seen))),
                asyncio.ensure_future(_pass(far, near, lambda *seen: self._down(number, *seen))),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        await near.close()
        return near

    def _up(self, connection: int, frame: Mapping[str, Any], moment: float) -> None:
        if frame.get("method") == "agent":
            self._asked[connection, frame["id"]] = frame["params"]["sessionKey"], moment

    def _down(self, connection: int, frame: Mapping[str, Any], moment: float) -> None:
        asked = self._asked.pop((connection, str(frame.get("id"))), None)
        if asked is not None and frame.get("payload", {}).get("status") == "accepted":
            self.seen.put(Seen(*asked, moment))


async def _pass(come: Any, go: Any, note: Callable[[Mapping[str, Any], float], None]) -> None:
    async for message in come:
        if message.type is aiohttp.WSMsgType.TEXT:
            moment = time.monotonic()
            await go.send_str(message.data)
            note(orjson.loads(message.data), moment)


@contextlib.contextmanager
def tap(run: Run, url: str) -> Iterator[Tap]:
    opened = Tap(url)
    run(opened.open())
    try:
        yield opened
    finally:
        run(opened.close())


class Client:
    """Who asks a Gateway for runs and does nothing else: no ledger, no second thought."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._answers: dict[str, asyncio.Future[frames.Answer]] = {}

    async def open(self, url: str, token: str) -> None:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(url, max_msg_size=0, compress=0)
        first = frames.read((await self._socket.receive(PATIENCE)).data)
        assert isinstance(first, frames.Event)
        self._reading = asyncio.ensure_future(self._read())
        challenge = frames.challenge_of(first)
        params = frames.connect(challenge, token=token, password=None, device=None)
        await self._ask("connect", params)

    async def close(self) -> None:
        self._reading.cancel()
        await self._session.close()

    async def turn(self, text: str) -> tuple[float, float]:
        """One run to its end: when it was asked for, and the seconds that it took."""
        key, own = f"bench-{time.monotonic_ns()}", session(BARE)
        params = frames.agent_run(text, session=own, key=key, agent_id=AGENT, seconds=90)
        asked = time.monotonic()
        await self._ask("agent", params)
        wait = await self._ask("agent.wait", {"runId": key, "timeoutMs": int(PATIENCE * 1000)})
        took = time.monotonic() - asked
        if wait.get("status") != "ok":
            raise BenchError(f"a run of the bench's own ended with {wait.get('status')!r}")
        return asked, took

    async def _ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        number = str(next(self._numbers))
        coming = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(frames.request(number, method, params))
        answer = await asyncio.wait_for(coming, PATIENCE)
        if not answer.ok:
            raise BenchError(f"the Gateway refused {method}: {answer.error.get('message')}")
        payload: Mapping[str, Any] = answer.payload
        return payload

    async def _read(self) -> None:
        async for message in self._socket:
            frame = frames.read(message.data)
            if isinstance(frame, frames.Answer) and (one := self._answers.pop(frame.id, None)):
                one.set_result(frame)


#: Has one run taken, on a text, to its end: when it was asked for, and the seconds that it took.
Asker = Callable[[str], tuple[float, float]]


@contextlib.contextmanager
def client(run: Run, url: str, token: str) -> Iterator[Asker]:
    opened = Client()
    run(opened.open(url, token))
    try:
        yield lambda text: run(opened.turn(text))
    finally:
        run(opened.close())
