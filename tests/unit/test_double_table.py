"""The table of the double's behaviours is true: each names a test that is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.integration.double_table import BEHAVIOURS

ROOT = Path(__file__).parents[2]


def defined_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("file", sorted({file for _, _, file, _ in BEHAVIOURS}))
def test_each_behaviour_names_a_test_that_is_there(file: str) -> None:
    named = {test for _, _, where, test in BEHAVIOURS if where == file}
    assert named <= defined_in(file)


def test_each_behaviour_names_its_source_once() -> None:
    assert all(
        source.endswith(".ts") or "RAFT_PROTOCOL" in source for _, source, _, _ in BEHAVIOURS
    )
    said = [behaviour for behaviour, *_ in BEHAVIOURS]
    assert len(said) == len(set(said))
