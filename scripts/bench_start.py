"""Case: from the command to many accounts that listen, and the memory that each then takes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import bench_host
import psutil
from bench_rows import BenchError, Case, row

READY_AIM, PSS_AIM = 2.0, 10.0
_MB = 1e-6
#: What ``raftsup up`` loads before it forks.
_IMPORTS = "import raftsup.cli.main, raftsup.cli.up, raftsup.ops.rpc, raftsup.supervisor.parent"


def measure(folder: Path, accounts: int, rounds: int) -> Case:
    names = [f"a{number}" for number in range(accounts)]
    ready: list[float] = []
    imports: list[float] = []
    memory: dict[str, list[int]] = {}
    for number in range(rounds):
        imports.append(_imports())
        plans = dict.fromkeys(names, bench_host.Plan())
        with bench_host.running(folder / str(number), plans) as host:
            ready.append(host.until_ready(names))
            for kind, values in _memory(host, names).items():
                memory.setdefault(kind, []).extend(values)
    both = [w + k for w, k in zip(memory["worker"], memory["shim"], strict=True)]
    per_account = sum(sum(values) for values in memory.values()) / rounds / accounts
    return Case(
        f"5. {accounts} accounts to ready: {rounds} starts of `raftsup up`",
        "from the start of the command until every account's report says that its bridge listens;"
        " memory is PSS, each process's fair share of what is shared; bridges are not counted",
        (
            row("all accounts ready", ready, "s", aim=READY_AIM),
            row("of it: interpreter and imports, alone", imports, "s"),
            row("PSS of a worker", memory["worker"], "MB", scale=_MB, aim=PSS_AIM),
            row("PSS of a bridge's shim", memory["shim"], "MB", scale=_MB),
            row("PSS of an account: worker and shim", both, "MB", scale=_MB, aim=PSS_AIM),
            row("PSS of the largest account", [max(both)], "MB", scale=_MB, aim=PSS_AIM),
            row("PSS of the dispatcher", memory["dispatcher"], "MB", scale=_MB),
            row("PSS of the parent", memory["parent"], "MB", scale=_MB),
            row("the whole host's PSS, an account", [per_account], "MB", scale=_MB),
        ),
    )


def _imports() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    return time.monotonic() - began


def _memory(host: bench_host.Host, names: list[str]) -> dict[str, list[int]]:
    """PSS in bytes by kind of process; workers and shims in the order of ``names``."""
    parent = psutil.Process(host.process.pid)
    reports = [host.report(name) for name in names]
    workers = [psutil.Process(report["pid"]) for report in reports]
    shims = [_parent(report["bridge"]["pid"]) for report in reports]
    dispatchers = [child for child in parent.children() if child not in workers]
    kinds = {"worker": workers, "shim": shims, "dispatcher": dispatchers, "parent": [parent]}
    return {kind: [pss(process) for process in kinds[kind]] for kind in kinds}


def _parent(pid: int) -> psutil.Process:
    parent = psutil.Process(pid).parent()
    if parent is None:
        raise BenchError(f"the bridge with pid {pid} has lost its shim")
    return parent


def pss(process: psutil.Process) -> int:
    """Bytes."""
    info = process.memory_full_info()
    # Only Linux knows PSS; what a process shares with nobody is the nearest elsewhere.
    return int(getattr(info, "pss", 0) or info.uss)
