"""Variables that begin as raftsup's own do."""

from __future__ import annotations

import re
from pathlib import Path

from raftsup.config.variables import OTHERS, SETTINGS, mistyped

ROOT = Path(__file__).parents[2]


def test_each_variable_that_the_product_names_is_known() -> None:
    texts = (
        path.read_text() for path in (ROOT / "raftsup").rglob("*.py") if "sim" not in path.parts
    )
    named = {name for text in texts for name in re.findall(r"RAFTSUP_[A-Z][A-Z_]*[A-Z]", text)}
    assert named <= SETTINGS | OTHERS


def test_what_is_like_a_known_one_is_told_and_what_is_not_is_left_alone() -> None:
    assert list(mistyped({name: "x" for name in SETTINGS | OTHERS})) == []
    assert list(mistyped({"RAFTSUP_SUPPORT_KEY": "x", "PATH": "x", "RAFTSUP": "x"})) == []
    for wrong, right in {
        "RAFTSUP_TURNS_TIEMOUT": "RAFTSUP_TURNS_TIMEOUT",
        "RAFTSUP_TURN_TIMEOUT": "RAFTSUP_TURNS_TIMEOUT",
        "RAFTSUP_STATEDIR": "RAFTSUP_STATE_DIR",
    }.items():
        (told,) = mistyped({wrong: "secret"})
        assert told == f"{wrong} in the environment is read by nobody: did you mean {right}?"
