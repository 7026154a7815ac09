from __future__ import annotations

import re
from pathlib import Path

from raftsup.config.load import load
from raftsup.config.schema import CHANNEL, SECTIONS, snake
from raftsup.config.values import parse_duration, parse_size

EXAMPLE = Path(__file__).parents[2] / "conf" / "raftsup.example.json5"
TEXT = EXAMPLE.read_text()


def named_variables() -> dict[str, str]:
    code = re.sub(r"//.*", "", TEXT)
    return dict.fromkeys(re.findall(r"\$\{(\w+)\}", code), "x")


def test_the_example_loads_with_the_variables_that_it_names() -> None:
    held = load(EXAMPLE, named_variables())
    assert [(a.id, a.runs) for a in held.accounts] == [("support", True), ("engineering", False)]
    assert all(a.problem is None for a in held.accounts)


def test_the_example_shows_every_key_of_the_channel() -> None:
    missing = {key for key in CHANNEL if not re.search(rf"\b{key}\b", TEXT)}
    assert missing == {"configWrites"}  # OpenClaw's, of no use here


def test_the_defaults_in_the_examples_comments_are_the_defaults() -> None:
    shown = {
        key: value.strip('"')
        for key, value in re.findall(r"// (\w+): ([^,]+), +// default", TEXT)
    }  # fmt: skip
    for section in SECTIONS.values():
        defaults = section.model()
        for key in section.settings:
            value = shown[key]
            read = parse_duration(value) or parse_size(value) or value
            assert str(read) == str(getattr(defaults, snake(key))), key
