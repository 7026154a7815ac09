"""Case: the memory of a dispatcher with many lanes, by what is behind them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import bench_callers
import bench_gateway
import bench_host
import psutil
from bench_client import post, wake
from bench_host import Host, Turns
from bench_rows import Case, Row, row
from bench_start import pss

from tests.support.openclaw.gateway import Gateway

_MB = 1e-6
_ACP_LANES = 10
#: Bytes of PSS, one each start.
Sizes = dict[str, list[int]]


def measure(folder: Path, gateway: Gateway | None, lanes: int, starts: int) -> Case:
    """Without a Gateway the lanes behind one are left out."""
    folder.mkdir(mode=0o700)
    sizes: Sizes = {}
    for number in range(starts):
        _commands(folder / f"c{number}", lanes, sizes)
        _acp(folder / f"a{number}", lanes, sizes)
        if gateway is not None:
            _openclaw(folder / f"o{number}", lanes, gateway, sizes)
    return Case(
        f"9. The dispatcher's memory with {lanes} lanes: {starts} starts each",
        "PSS, its fair share of what it has in common with the host's other processes; agents are"
        " not counted; used: each lane has taken one turn; each lane is an account of its own",
        tuple(_row(name, values) for name, values in sizes.items()),
    )


def _row(name: str, values: Sequence[int]) -> Row:
    return row(name, values, "MB", scale=_MB)


def _commands(folder: Path, lanes: int, sizes: Sizes) -> None:
    names = _names(lanes)
    with bench_host.running(folder, dict.fromkeys(names, bench_host.Plan())) as host:
        host.until_available(names)
        _add(sizes, f"{lanes} command lanes, none used", _dispatcher(host))
        _use(host, names)
        _add(sizes, f"{lanes} command lanes, each used once", _dispatcher(host))


def _acp(folder: Path, lanes: int, sizes: Sizes) -> None:
    names = _names(lanes)
    some = names[:_ACP_LANES]
    agent = bench_host.Plan({"kind": "acp", "command": list(bench_callers.ACP)})
    plans = {**dict.fromkeys(names, bench_host.Plan()), **dict.fromkeys(some, agent)}
    with bench_host.running(folder, plans) as host:
        host.until_available(names)
        _use(host, some)
        process = _dispatcher(host)
        name = f"{_ACP_LANES} acp lanes with agents, {lanes - _ACP_LANES} command"
        _add(sizes, name, process)
        # The spare shim waits for a command, and holds no agent.
        shims = [pss(child) for child in process.children() if child.children()]
        sizes.setdefault("a shim of an acp agent, besides", []).extend(shims)


def _openclaw(folder: Path, lanes: int, gateway: Gateway, sizes: Sizes) -> None:
    names = _names(lanes)
    agent = bench_host.Plan(bench_gateway.agent(gateway.url))
    folder.mkdir(mode=0o700)
    for count, name in (
        (1, f"1 openclaw lane, connected, {lanes - 1} command"),
        (lanes, f"{lanes} openclaw lanes on one Gateway, connected"),
    ):
        plans = {**dict.fromkeys(names, bench_host.Plan()), **dict.fromkeys(names[:count], agent)}
        environ = bench_gateway.environ(gateway)
        with bench_host.running(folder / str(count), plans, **environ) as host:
            host.until_available(names)
            _add(sizes, name, _dispatcher(host))


def _names(count: int) -> list[str]:
    return [f"a{number}" for number in range(count)]


def _use(host: Host, names: Sequence[str]) -> None:
    """Have each take one turn, one after the other."""
    with contextlib.closing(Turns(host.state.dispatcher_socket)) as turns:
        for name in names:
            post(*host.endpoint(name), wake())
            turns.until_done(name)


def _dispatcher(host: Host) -> psutil.Process:
    return psutil.Process(host.dispatcher()["pid"])


def _add(sizes: Sizes, name: str, process: psutil.Process) -> None:
    sizes.setdefault(name, []).append(pss(process))
