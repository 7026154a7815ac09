"""Timings and limits are parameters: no test patches a constant of the product."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
DEFAULTS = {"__defaults__", "__kwdefaults__"}


def patched(text: str) -> list[str]:
    """The constants, and the defaults of functions, that a test sets: by name or dotted path."""
    return [n for n in _set(ast.parse(text)) if n.strip("_").isupper() or n in DEFAULTS]


def _set(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="setattr" | "patch" | "object") | ast.Name(id="setattr")
            ):
                for argument in node.args[:2]:
                    if isinstance(argument, ast.Constant):
                        yield str(argument.value).rpartition(".")[2]
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def test_no_test_patches_a_constant() -> None:
    found = {str(path): patched(path.read_text()) for path in TESTS.rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_one_that_does_is_found() -> None:
    for text, name in (
        ("m.setattr(module, '_TIMEOUT_S', 1)", "_TIMEOUT_S"),
        ("m.setattr('a.b.LIMIT', 1)", "LIMIT"),
        ("m.setattr(ask, '__defaults__', (1,))", "__defaults__"),
        ("setattr(module, 'LIMIT', 1)", "LIMIT"),
        ("mock.patch('a.b.LIMIT', 1)", "LIMIT"),
        ("mock.patch.object(module, 'LIMIT', 1)", "LIMIT"),
        ("module.LIMIT = 1", "LIMIT"),
        ("module.LIMIT, x = 1, 2", "LIMIT"),
    ):
        assert patched(text) == [name]
    assert patched("m.setattr(os, 'kill', x)\nassert module.LIMIT == 1\nself.limit = 1") == []
