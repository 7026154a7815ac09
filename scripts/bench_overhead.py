"""Case: what a turn costs beside its agent, for each kind of agent."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bench_callers
import bench_host
from bench_callers import Caller
from bench_client import post, wake
from bench_host import Turns
from bench_rows import Case, ms, ratios, row

#: The first ones find pages and paths cold, agents not started, sessions not made.
WARM_UP = 3
_ACCOUNT = "one"

#: Seconds of raftsup's turns, and of a bare caller's.
Pairs = tuple[list[float], list[float]]


def measure(folder: Path, model_url: str, rounds: int) -> dict[str, Pairs]:
    """By kind of agent, without those behind a Gateway; each kind on a host of its own, as what
    one kind loads makes every fork of the dispatcher dearer.
    """
    folder.mkdir(mode=0o700)
    base_url = f"{model_url}/v1"
    openai = {"kind": "openai", "baseUrl": base_url, "api": "chat", "model": bench_callers.MODEL}
    with bench_callers.acp() as acp:
        kinds: dict[str, tuple[Mapping[str, Any], Caller]] = {
            "command": (bench_host.command(*bench_callers.COMMAND), bench_callers.command),
            "acp": ({"kind": "acp", "command": list(bench_callers.ACP)}, acp),
            "openai": (openai, bench_callers.openai(base_url)),
        }
        return {
            name: _pairs(folder / name, bench_host.Plan(agent), bare, rounds)
            for name, (agent, bare) in kinds.items()
        }


def _pairs(folder: Path, plan: bench_host.Plan, bare: Caller, rounds: int) -> Pairs:
    took: Pairs = ([], [])
    with bench_host.running(folder, {_ACCOUNT: plan}) as host:
        host.until_available([_ACCOUNT])
        endpoint = host.endpoint(_ACCOUNT)
        with contextlib.closing(Turns(host.state.dispatcher_socket)) as turns:
            for number in range(rounds + WARM_UP):
                post(*endpoint, wake())
                pair = turns.until_done(_ACCOUNT), bare()
                if number >= WARM_UP:
                    for values, value in zip(took, pair, strict=True):
                        values.append(value)
    return took


def case(took: Mapping[str, Pairs]) -> Case:
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
        "8. A turn's overhead by kind of agent, interleaved with a bare caller of the same agent",
        "from turn.started to turn.done, by the dispatcher's clock, with an agent or model that"
        " answers at once; overhead: without what the bare caller needs, pair by pair; in it are"
        " the transcript and the outcome, made durable",
        tuple(rows),
    )
