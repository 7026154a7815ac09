from __future__ import annotations

import re
from pathlib import Path

import pytest

from raftsup.config.agent_kinds import KINDS, fields_of
from raftsup.config.load import load
from raftsup.config.model import CommandAgent
from raftsup.config.schema import CHANNEL, SECTIONS
from raftsup.config.validators import parse_duration, parse_size, snake

EXAMPLE = Path(__file__).parents[2] / "conf" / "raftsup.example.json5"
TEXT = EXAMPLE.read_text()


def named_variables() -> dict[str, str]:
    code = re.sub(r"//.*", "", TEXT)
    return dict.fromkeys(re.findall(r"\$\{(\w+)\}", code), "x")


def test_the_example_loads_with_the_variables_that_it_names() -> None:
    held = load(EXAMPLE, named_variables())
    assert [a.id for a in held.accounts if a.runs] == ["support"]
    assert all(a.problem is None for a in held.accounts)


def test_the_example_shows_every_kind_of_agent_and_every_key_of_it() -> None:
    held = load(EXAMPLE, named_variables())
    assert {a.agent.kind for a in held.accounts if a.agent} == {*KINDS}
    keys = {key for kind in KINDS for key in fields_of(kind)}
    assert {key for key in keys if not re.search(rf"\b{key}: ", TEXT)} == set()


def test_the_examples_settings_that_are_commented_out_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config/raftsup").mkdir(parents=True)
    (tmp_path / ".config/raftsup/office.key").write_text("key\n")
    settings = re.findall(r'^ +// (\w+: [\["{\w].*?,)(?: +//.*)?$', TEXT, re.MULTILINE)
    assert len(settings) > 25
    for setting in settings:
        written = setting.replace("<SHA-256 of the certificate>", "ab" * 32)
        file = tmp_path / "c.json5"
        file.write_text(TEXT.replace(f"// {setting}", written))
        loaded = load(file, dict.fromkeys(re.findall(r"\$\{(\w+)\}", TEXT), "x"))
        assert loaded.accounts, setting


def test_the_example_shows_how_an_account_changes_the_agent_of_all() -> None:
    held = load(EXAMPLE, named_variables())
    common = held.account("support")
    assert common is not None and isinstance(common.agent, CommandAgent)
    assert common.agent.command == ("claude", "-p", "--allowedTools", "Bash(raft:*)")
    assert str(common.agent.cwd).endswith("/support")


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
