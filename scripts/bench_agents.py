"""Cases: from a wake until a real OpenClaw Gateway has accepted its run, and what a turn costs
beside its agent, for each kind of agent.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bench_callers
import bench_gateway
import bench_host
from bench_callers import Caller
from bench_client import post, wake
from bench_gateway import Run, Tap
from bench_rows import BenchError, Case, Row, ms, ratios, row

from raftsup.sim.openclaw import Gateway

#: The first ones find pages and paths cold, agents not started, sessions not made.
_WARM_UP = 3
_TAPPED = "tapped"
#: Seconds after a Gateway's boot was first seen in which the runner looks at the session's row
#: before each run; measured is the time after it.
_WATCH = 60.0


class Turns:
    """The dispatcher's word on when an account's turn began and ended, by the dispatcher's clock."""

    def __init__(self, dispatcher: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(bench_host.PATIENCE)
        self._socket.connect(str(dispatcher))
        self._socket.sendall(b'{"verb":"subscribe"}\n')
        self._lines = self._socket.makefile("rb")
        self._lines.readline()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def until_done(self, account: str) -> float:
        """Seconds from ``turn.started`` to ``turn.done`` of the account's next turn."""
        at: dict[str, float] = {}
        while "turn.done" not in at:
            try:
                event = json.loads(self._lines.readline() or "{}")
            except TimeoutError:
                raise BenchError(f"{account}: no turn was done; seen: {sorted(at)}") from None
            if not event:
                raise BenchError("the dispatcher hung up")
            if event["account"] != account or event["event"] == "turn.step":
                continue
            if event["event"] not in ("turn.started", "turn.done"):
                raise BenchError(f"{account}: {event['event']}: {event['reason']}")
            at[event["event"]] = event["at"]
        return at["turn.done"] - at["turn.started"]


@dataclass
class Took:
    """Seconds, one each wake."""

    from_post: list[float] = field(default_factory=list)
    from_answer: list[float] = field(default_factory=list)
    until_asked: list[float] = field(default_factory=list)
    #: From the request to "accepted", as the tap saw them: the Gateway's own time.
    gateway: list[float] = field(default_factory=list)
    #: The bare client, from before its request to "accepted".
    bare: list[float] = field(default_factory=list)
    bare_gateway: list[float] = field(default_factory=list)


def measure(
    folder: Path, model_url: str, gateway: Gateway | None, rounds: int, watch: bool = True
) -> list[Case]:
    """Without a Gateway the rows that need one are left out."""
    base_url = f"{model_url}/v1"
    agents: dict[str, Mapping[str, Any]] = {
        "command": bench_host.command(*bench_callers.COMMAND),
        "acp": {"kind": "acp", "command": list(bench_callers.ACP)},
        "openai": {
            "kind": "openai",
            "baseUrl": base_url,
            "api": "chat",
            "model": bench_callers.MODEL,
        },
    }
    with contextlib.ExitStack() as stack:
        bare: dict[str, Caller] = {
            "command": bench_callers.command,
            "acp": stack.enter_context(bench_callers.acp()),
            "openai": bench_callers.openai(base_url),
        }
        environ = {}
        if gateway is not None:
            run = stack.enter_context(bench_gateway.loop())
            tap = Tap(gateway.url)
            tapped_url = run(tap.open())
            stack.callback(lambda: run(tap.close()))
            agents["openclaw"] = bench_gateway.agent(gateway.url)
            agents[_TAPPED] = bench_gateway.agent(tapped_url)
            bare["openclaw"] = _client(stack, run, gateway.url, gateway.token, "bare")
            bare_tapped = _client(stack, run, tapped_url, gateway.token, "bare-tapped")
            environ["OPENCLAW_GATEWAY_TOKEN"] = gateway.token
        plans = {name: bench_host.Plan(agent) for name, agent in agents.items()}
        host = stack.enter_context(bench_host.running(folder, plans, **environ))
        host.until_ready(list(plans))
        host.until(lambda: not host.dispatcher()["unavailable"], "every agent being available")
        connected = time.monotonic()
        turns = stack.enter_context(contextlib.closing(Turns(host.state.dispatcher_socket)))
        few = {name: caller for name, caller in bare.items() if name != "openclaw"}
        cases = _overheads(host, turns, few, rounds)
        if gateway is None:
            return [_overhead_case(cases, rounds)]
        early = _accepts(host, turns, tap, bare_tapped, rounds)
        if watch:
            time.sleep(max(0.0, connected + _WATCH + 1 - time.monotonic()))
        cases |= _overheads(host, turns, {"openclaw": bare["openclaw"]}, rounds)
        late = _accepts(host, turns, tap, bare_tapped, rounds)
        return [_accepted_case(late, early), _overhead_case(cases, rounds)]


def _client(
    stack: contextlib.ExitStack, run: Run, url: str, token: str, session: str
) -> Callable[[], float]:
    client = bench_gateway.Client()
    run(client.open(url, token))
    stack.callback(lambda: run(client.close()))
    key = f"agent:{bench_gateway.AGENT}:raft:{session}"
    return lambda: float(run(client.turn(key, bench_callers.TEXT))[1])
