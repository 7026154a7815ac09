"""Timings and limits are parameters: no test patches a constant of the product."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]


def patched(text: str) -> list[str]:
    """Each ``setattr`` of a name in capitals: on a module, or by its dotted path."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setattr"):
            continue
        for argument in node.args[:2]:
            if isinstance(argument, ast.Constant):
                name = str(argument.value).rpartition(".")[2]
                found += [name] * name.strip("_").isupper()
    return found


def test_no_test_patches_a_constant() -> None:
    assert {str(path): patched(path.read_text()) for path in TESTS.rglob("*.py")
            if patched(path.read_text())} == {}  # fmt: skip


def test_one_that_does_is_found() -> None:
    text = "m.setattr(module, '_TIMEOUT_S', 1)\nm.setattr('a.b.LIMIT', 1)\nm.setattr(os, 'kill', x)"
    assert patched(text) == ["_TIMEOUT_S", "LIMIT"]
