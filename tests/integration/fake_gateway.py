"""A Gateway of protocol 4 in this process, which does what a test tells it to.

::

    async with fake_gateway() as fake:
        fake.manner = Manner(keep=True)     # runs go on until ``fake.end(run)``
        ...
        await fake.restart()                # a new boot, as after SIGKILL

It keeps sessions, tasks and runs as the real one was seen to: a run is begun once for each key and
boot, the keys of sessions are written small and tasks are found by no other spelling, a cut-off
run's task is ``cancelled``. ``begun`` counts what was begun, over all boots.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

TOKEN = "the-gateways-token"
VERSION = "2026.9.6"
SCOPES = ["operator.read", "operator.write"]


@dataclass
class Manner:
    """How it behaves; each test makes its own."""

    #: Runs go on until the test ends them; else they end "ok" at once.
    keep: bool = False
    #: Answers to ``connect`` that are errors, used up from the front.
    refusals: list[dict[str, Any]] = field(default_factory=list)
    scopes: list[str] = field(default_factory=lambda: list(SCOPES))
    boot_told: bool = True
    protocol: int = 4
    #: Old enough for a run at once, young enough to be resuming what a restart cut off.
    uptime_ms: int = 31_000
    #: Sent in place of the challenge.
    first: str | None = None
    #: Methods that close the connection before they do anything / after they did it.
    lose_before: set[str] = field(default_factory=set)
    lose_after: set[str] = field(default_factory=set)
    #: Methods that are never answered.
    hang: set[str] = field(default_factory=set)
    #: Errors by method, used up from the front.
    errors: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    #: ``chat.abort`` says that nothing was aborted.
    deaf: bool = False
    #: ``agent.wait`` comes back at once.
    hasty: bool = False


@dataclass
class Run:
    id: str
    session: str
    params: dict[str, Any]
    #: As the task tells it: running, completed, failed, timed_out, cancelled.
    status: str = "running"
    #: The answer of ``agent.wait``, once it is over; memory of one boot.
    end: dict[str, Any] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class FakeGateway:
    def __init__(self) -> None:
        self.manner = Manner()
        self.port = 0
        self.boot = 1
        #: Requests in order: (method, params).
        self.asked: list[tuple[str, dict[str, Any]]] = []
        #: The frames of these requests as they came.
        self.frames: list[dict[str, Any]] = []
        #: How often a run was begun, by key.
        self.begun: Counter[str] = Counter()
        self.runs: dict[str, Run] = {}
        #: Session rows by key, as ``sessions.describe`` gives them.
        self.rows: dict[str, dict[str, Any]] = {}
        self.connections = 0
        self._open: set[web.WebSocketResponse] = set()
        self._known: set[str] = set()
        self._runner: web.AppRunner | None = None
        self._tls: ssl.SSLContext | None = None

    # What a test does to it.

    def said(self, method: str) -> list[dict[str, Any]]:
        return [params for name, params in self.asked if name == method]

    @property
    def open(self) -> int:
        """Connections that stand."""
        return len(self._open)

    def only_run(self) -> Run:
        (run,) = self.runs.values()
        return run

    def end(
        self, run: Run, status: str = "ok", *, text: str = "", task: str = "", **more: Any
    ) -> None:
        tasks = {"ok": "completed", "error": "failed", "timeout": "timed_out"}
        rows = {"ok": "done", "error": "failed", "timeout": "timeout"}
        run.status = task or tasks[status]
        reply = {"terminalReply": {"disposition": "visible", "text": text}} if text else {}
        run.end = {"runId": run.id, "status": status, "endedAt": 1, **reply, **more}
        self.rows[run.session].update(
            status="killed" if task == "cancelled" else rows[status], lastRunId=run.id
        )
        run.over.set()

    async def emit(self, event: str, payload: dict[str, Any]) -> None:
        for socket in list(self._open):
            await socket.send_str(json.dumps({"type": "event", "event": event, "payload": payload}))

    async def say(self, text: str) -> None:
        """Any text, to all who are connected."""
        for socket in list(self._open):
            await socket.send_str(text)

    async def drop(self) -> None:
        """Break every connection; the boot goes on."""
        for socket in list(self._open):
            await socket.close(code=1012)

    async def restart(
        self, *, resumes: bool | None = None, row: dict[str, Any] | None = None
    ) -> None:
        """Another boot, as after a SIGKILL: what ran is cut off, and what was only in memory is
        forgotten. ``resumes``: the row of what was cut off says that it will be taken up again.
        """
        await self.stop()
        self.boot += 1
        self._known.clear()
        for run in self.runs.values():
            run.end = None
            if run.status == "running":
                run.status = "cancelled"
                self.rows[run.session].update(
                    {"status": "running", "abortedLastRun": True}
                    if resumes
                    else row or {"status": "failed"}
                )
        await self.start(self._tls)

    def resume(self, session: str, run_id: str) -> Run:
        """What a real one does some seconds after its restart, under a run id of its own."""
        run = self.runs[run_id] = Run(run_id, session, {})
        self.begun[run_id] += 1
        self.rows[session].update(status="running", abortedLastRun=False)
        return run

    # Its life.

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        app = web.Application()
        app.router.add_get("/", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Nobody listens any more, as after a kill."""
        if self._runner is not None:
            await self.drop()
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._open.add(socket)
        busy: set[asyncio.Task[None]] = set()
        challenge = {"nonce": f"nonce-{self.connections}", "ts": 1_795_254_555_005}
        frame = {"type": "event", "event": "connect.challenge", "payload": challenge}
        try:
            await socket.send_str(self.manner.first or json.dumps(frame))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    task = asyncio.create_task(self._answer(socket, json.loads(message.data)))
                    busy.add(task)
                    task.add_done_callback(busy.discard)
        finally:
            self._open.discard(socket)
            for task in busy:
                task.cancel()
        return socket

    async def _answer(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        method, params = frame["method"], frame["params"]
        self.asked.append((method, params))
        self.frames.append(frame)
        if method in self.manner.hang:
            return
        if method in self.manner.lose_before:
            self.manner.lose_before.discard(method)
            await socket.close(code=1011)
            return
        answer: dict[str, Any] = {"type": "res", "id": frame["id"], "ok": True}
        if errors := self.manner.errors.get(method):
            answer |= {"ok": False, "error": errors.pop(0)}
        elif method == "connect":
            answer |= self._hello(params)
        elif method == "agent":
            answer |= {"payload": self._agent(params)}
        elif method == "agent.wait":
            answer |= {"payload": await self._wait(params)}
        elif method == "chat.abort":
            answer |= {"payload": self._abort(params)}
        elif method == "tasks.list":
            answer |= {"payload": {"tasks": self._tasks(params["sessionKey"])}}
        elif method == "sessions.describe":
            answer |= {"payload": {"session": self.rows.get(params["key"].lower())}}
        else:
            answer |= {"ok": False, "error": {"code": "INVALID_REQUEST", "message": method}}
        if method in self.manner.lose_after:
            self.manner.lose_after.discard(method)
            await socket.close(code=1011)
            return
        with contextlib.suppress(ConnectionError):
            await socket.send_str(json.dumps(answer))

    # What it knows.

    def _hello(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.manner.refusals:
            return {"ok": False, "error": self.manner.refusals.pop(0)}
        if params.get("auth", {}).get("token") != TOKEN:
            details = {"code": "AUTH_TOKEN_MISMATCH"}
            return {"ok": False, "error": {"code": "INVALID_REQUEST", "message": "unauthorized",
                                           "details": details}}  # fmt: skip
        server = {"version": VERSION, "connId": f"c{self.connections}"}
        boot = {"bootId": f"boot-{self.boot}"} if self.manner.boot_told else {}
        return {
            "payload": {
                "type": "hello-ok",
                "protocol": self.manner.protocol,
                "server": {**server, **boot},
                "features": {"methods": ["agent"], "events": []},
                "snapshot": {
                    "uptimeMs": self.manner.uptime_ms,
                    "sessionDefaults": {"defaultAgentId": "main"},
                },
                "auth": {"role": "operator", "scopes": self.manner.scopes},
                "policy": {},
            }
        }

    def _agent(self, params: dict[str, Any]) -> dict[str, Any]:
        key, session = params["idempotencyKey"], params["sessionKey"].lower()
        if key in self._known:
            return {"runId": key, "status": "in_flight"}
        self._known.add(key)
        self.begun[key] += 1
        run = self.runs[key] = Run(key, session, params)
        self.rows.setdefault(session, {"key": session}).update(status="running")
        if not self.manner.keep:
            self.end(run, text="done")
        return {"runId": key, "status": "accepted", "acceptedAt": 1}

    async def _wait(self, params: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(params["runId"])
        if run is None:
            return {"runId": params["runId"], "status": "timeout"}
        with contextlib.suppress(TimeoutError):
            waits = params["timeoutMs"] and not self.manner.hasty
            if run.end is None and run.status == "running" and waits:
                await asyncio.wait_for(run.over.wait(), params["timeoutMs"] / 1000)
        return run.end or {"runId": run.id, "status": "timeout"}

    def _abort(self, params: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(params["runId"])
        if self.manner.deaf or run is None or run.status != "running":
            return {"ok": True, "aborted": False, "runIds": []}
        self.end(run, "error", task="cancelled", stopReason="rpc")
        return {"ok": True, "aborted": True, "runIds": [run.id]}

    def _tasks(self, session: str) -> list[dict[str, Any]]:
        """Newest first."""
        return [{"runId": run.id, "status": run.status} for run in reversed(self.runs.values())
                if run.session == session]  # fmt: skip


@contextlib.asynccontextmanager
async def fake_gateway(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeGateway]:
    fake = FakeGateway()
    await fake.start(tls)
    try:
        yield fake
    finally:
        await fake.stop()
