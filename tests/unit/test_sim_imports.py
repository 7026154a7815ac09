"""What the simulator may import: nothing of the host, and for the command nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import raftsup.sim

SOURCES = sorted(Path(raftsup.sim.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_simulator_imports_nothing_of_the_host(source: Path) -> None:
    imported = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom):
            imported.append(node.module or "")
        elif isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
    ours = [name for name in imported if name.startswith("raftsup")]
    assert all(name.startswith("raftsup.sim") for name in ours)


@pytest.mark.parametrize("module", ["raft_cli", "agent_api", "agent"])
def test_a_command_of_a_turn_loads_nothing_heavy(module: str) -> None:
    heavy = {"http.client", "subprocess", "dataclasses", "asyncio", "raftsup.sim.server"}
    code = f"import sys, raftsup.sim.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert f"raftsup.sim.{module}" in loaded.split()
    assert heavy.isdisjoint(loaded.split())
