"""The cases of real agents, all on one OpenClaw Gateway, if OpenClaw is installed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import bench_accepted
import bench_gateway
import bench_lanes
import bench_overhead
from bench_rows import Case, tell

from tests.support.openclaw.model import running_model


@dataclass(frozen=True)
class Size:
    #: For each kind of agent, and for the Gateway.
    turns: int
    wakes: int
    lanes: int
    starts: int


def measure(folder: Path, there: Path | None, size: Size) -> list[Case]:
    """``there``: where OpenClaw is installed; without it its rows are left out."""
    folder.mkdir(mode=0o700)
    with running_model(idle=True) as model, contextlib.ExitStack() as stack:
        gateway = wakes = None
        if there is not None:
            tell("a Gateway starts ...")
            running = bench_gateway.running(there, folder / "g", model.url)
            gateway = stack.enter_context(running)
            wakes = stack.enter_context(bench_accepted.connected(folder / "w", gateway))
        tell("a turn's overhead ...")
        took = bench_overhead.measure(folder / "t", model.url, size.turns)
        tell("the dispatcher's memory ...")
        cases = [bench_lanes.measure(folder / "l", gateway, size.lanes, size.starts)]
        if wakes is not None:
            tell("wake to accepted ...")
            accepted = wakes(size.wakes)
            took["openclaw"] = accepted.turn, accepted.bare_turn
            cases.append(bench_accepted.case(accepted))
        return [*cases, bench_overhead.case(took)]
