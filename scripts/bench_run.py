"""Measures raftsup on this machine; every ratio is between things measured in the same rounds.

Absolute times tell of the machine, ratios of raftsup. Nothing here fails for being slow. The rows
of a real OpenClaw Gateway need `scripts/openclaw-env install` first; RAFTSUP_OPENCLAW=off leaves
them out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

# The Gateway and the model are the tests' own.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bench_accept
import bench_agents
import bench_gateway
import bench_start
import bench_turns
from bench_accept import Size
from bench_rows import BenchError, Case, as_json, table, tell

SECTIONS = ("accept", "turns", "start", "agents")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a short form: all rows, few rounds and accounts"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--dir", type=Path, default=Path("/var/tmp"), metavar="DIR",
        help="on the disk to measure; a folder is made in it and removed (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", metavar="SECTION",
        help=f"measure this one of {', '.join(SECTIONS)}; may be given more than once",
    )  # fmt: skip
    return parser.parse_args()


def measures(
    folder: Path, quick: bool, openclaw: Path | None
) -> dict[str, Callable[[], list[Case]]]:
    """By the names of ``SECTIONS``."""
    accept = (Size(3, 3), Size(2, 3)) if quick else (Size(60, 10), Size(12, 40))
    start = (10, 1) if quick else (50, 5)
    turns = (1, 5) if quick else (4, 150)
    agents = bench_agents.Size(*((3, 2, 10, 1) if quick else (30, 20, 50, 2)))
    return {
        "accept": lambda: bench_accept.measure(folder / "a", *accept),
        "turns": lambda: bench_turns.measure(folder / "t", *turns),
        "start": lambda: [bench_start.measure(folder / "s", *start)],
        "agents": lambda: bench_agents.measure(folder / "r", openclaw, agents),
    }


def machine(folder: Path) -> dict[str, object]:
    mounts = [p for p in psutil.disk_partitions(all=True) if folder.is_relative_to(p.mountpoint)]
    disk = max(mounts, key=lambda p: len(p.mountpoint), default=None)
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "disk": disk.fstype if disk else "unknown",
    }


def main() -> int:
    options = arguments()
    folder = Path(tempfile.mkdtemp(prefix="rb", dir=options.dir)).resolve()
    began, facts = time.monotonic(), machine(folder)
    openclaw = bench_gateway.installed()
    facts["openclaw"] = openclaw.name if openclaw else "left out"
    cases: list[Case] = []
    try:
        for name, measure in measures(folder, options.quick, openclaw).items():
            if options.only and name not in options.only:
                continue
            tell(f"{name} ...")
            cases += measure()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    cases.sort(key=lambda case: case.title)
    facts |= {"load after": round(os.getloadavg()[0], 2)}
    facts |= {"seconds": round(time.monotonic() - began, 1)}
    if options.json:
        print(json.dumps({"machine": facts, "cases": as_json(cases)}))
    else:
        print("raftsup on " + ", ".join(f"{key} {value}" for key, value in facts.items()))
        if openclaw is None:
            print("no rows of a real OpenClaw Gateway: `scripts/openclaw-env install` first")
        print("each row: median (or the quantile it names), quartiles, number of values")
        print(table(cases))
    return 0


if __name__ == "__main__":
    sys.exit(main())
