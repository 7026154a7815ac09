"""Case: what a turn costs beside its agent, for each kind of agent."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bench_callers
import bench_gateway
import bench_host
from bench_callers import Caller
from bench_client import post, wake
from bench_rows import BenchError, Case, ms, ratios, row

from raftsup.sim.openclaw import Gateway

#: The first ones find pages and paths cold, agents not started, sessions not made.
_WARM_UP = 3


class Turns:
    """The dispatcher's word on when turns begin and end, by the dispatcher's clock."""

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
                raise BenchError(f"{account}: a turn was not done in time") from None
            if not event:
                raise BenchError("the dispatcher has hung up on the bench")
            if event["account"] != account or event["event"] == "turn.step":
                continue
            if event["event"] not in ("turn.started", "turn.done"):
                raise BenchError(f"{account}: {event['event']}: {event['reason']}")
            at[event["event"]] = event["at"]
        return at["turn.done"] - at["turn.started"]


def measure(folder: Path, model_url: str, gateway: Gateway | None, rounds: int) -> Case:
    """Without a Gateway its kind is left out."""
    base_url = f"{model_url}/v1"
    openai = {"kind": "openai", "baseUrl": base_url, "api": "chat", "model": bench_callers.MODEL}
    agents: dict[str, Mapping[str, Any]] = {
        "command": bench_host.command(*bench_callers.COMMAND),
        "acp": {"kind": "acp", "command": list(bench_callers.ACP)},
        "openai": openai,
    }
    environ: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        bare: dict[str, Caller] = {
            "command": bench_callers.command,
            "acp": stack.enter_context(bench_callers.acp()),
            "openai": bench_callers.openai(base_url),
        }
        if gateway is not None:
            agents["openclaw"] = bench_gateway.agent(gateway.url)
            environ = bench_gateway.environ(gateway)
            run = stack.enter_context(bench_gateway.loop())
            client = stack.enter_context(bench_gateway.client(run, gateway.url, gateway.token))
            bare["openclaw"] = lambda: client(bench_callers.TEXT)[1]
        plans = {name: bench_host.Plan(agent) for name, agent in agents.items()}
        host = stack.enter_context(bench_host.running(folder, plans, **environ))
        host.until_ready(list(plans))
        host.until(host.all_available, "every agent being available")
        turns = stack.enter_context(contextlib.closing(Turns(host.state.dispatcher_socket)))
        return _case(_interleaved(host, turns, bare, rounds), rounds)


def _interleaved(
    host: bench_host.Host, turns: Turns, bare: Mapping[str, Caller], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """By kind: the seconds of raftsup's turns, and of the bare caller's."""
    took: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in bare}
    ends = {name: host.endpoint(name) for name in bare}
    order = list(bare)
    for number in range(rounds + _WARM_UP):
        for name in order:
            post(*ends[name], wake())
            pair = turns.until_done(name), bare[name]()
            if number >= _WARM_UP:
                for values, value in zip(took[name], pair, strict=True):
                    values.append(value)
        # Whatever one kind leaves behind meets each of the others in turn.
        order.append(order.pop(0))
    return took


def _case(took: Mapping[str, tuple[list[float], list[float]]], rounds: int) -> Case:
    rows = []
    for name, (ours, bare) in took.items():
        over = [a - b for a, b in zip(ours, bare, strict=True)]
        rows += [
            ms(f"{name}: a turn", ours),
            ms(f"{name}: the bare caller", bare),
            ms(f"{name}: overhead", over),
            row(f"{name}: turn / bare caller", ratios(ours, bare), "x"),
        ]
    return Case(
        f"8. A turn's overhead by kind of agent: {rounds} rounds, interleaved with a bare caller",
        "from turn.started to turn.done, by the dispatcher's clock, with an agent that answers at"
        " once; what a bare caller of the same agent needs is taken off, pair by pair; in it are a"
        " transcript and the outcome made durable",
        tuple(rows),
    )
