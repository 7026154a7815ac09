"""``raftsup config schema`` takes what the loader takes, and refuses what it can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import json5
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftsup.cli.main import main
from raftsup.config import schema
from raftsup.config.agent_kinds import KINDS, checks_of, schema_of
from raftsup.config.errors import ConfigError, ErrorCollector, Location
from raftsup.config.reader import resolve
from raftsup.config.schema import ACCOUNT, SECTIONS
from raftsup.config.validators import INVALID
from scripts.config_reference import page
from tests.unit.config_trees import config, raft
from tests.unit.test_config_secrets import ENVIRON, _nearly, _right, relaxed

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft202012Validator(schema.document())
COMMAND = {"kind": "command", "command": ["agent"]}
OPENCLAW = {"kind": "openclaw", "url": "wss://gateway"}
OPENAI = {"kind": "openai", "baseUrl": "https://a/v1", "model": "m"}


@relaxed
@given(_right | _nearly)
def test_what_the_loader_takes_the_schema_takes(tree: Any) -> None:
    try:
        config(tree, ENVIRON)
    except ConfigError:
        return
    assert list(VALIDATOR.iter_errors(tree)) == []


@pytest.mark.parametrize(
    "tree",
    [
        raft({"profile": "p"}, turnz={}),
        raft({"profile": "p", "profil": "p"}),
        raft({"profile": 5}),
        raft({"profile": "p"}, turns={"concurrency": 0}),
        raft({"profile": "p"}, turns={"concurrency": "4"}),
        raft({"profile": "p"}, turns={"timeout": "10 minutes"}),
        raft({"profile": "p"}, turns={"coalesce": "all"}),
        raft({"profile": "p"}, ledger={"mapSize": "1GG"}),
        raft({"profile": "p"}, supervisor={"watchdog": 1}),
        raft({"profile": "p", "command": "raft"}),
        raft({"profile": "p", "command": []}),
        raft({"profile": "p", "enabled": "yes"}),
        raft({"profile": "p", "agent": "claude"}),
        raft({"profile": "p", "agent": {"kind": "no such"}}),
        raft({"profile": "p", "agent": {"kind": "openclaw"}}),
        raft({"profile": "p", "agent": {**COMMAND, "url": "ws://127.0.0.1:1"}}),
        raft({"profile": "p", "agent": {"kind": "acp", "command": ["a"], "permissions": ["fly"]}}),
        raft({"accounts": {"a": {"profile": "p", "bind": "0.0.0.0"}}}),
        raft({"profile": "p", "command": [" "]}),
        raft({"profile": "p", "agent": {**COMMAND, "cwd": "work"}}),
        raft({"profile": "p", "agent": {**COMMAND, "env": {"1A": "x"}}}),
        raft({"profile": "p", "agent": {"kind": "openclaw", "url": "http://127.0.0.1:1"}}),
        raft({"profile": "p", "agent": {"kind": "openclaw", "url": "ws://me@127.0.0.1"}}),
        raft({"profile": "p", "agent": {**OPENCLAW, "tlsFingerprint": "ab"}}),
        raft({"profile": "p", "agent": {**OPENAI, "sessionHeader": "x y"}}),
        raft({"profile": "p", "agent": {**OPENAI, "headers": {"x y": "1"}}}),
        raft({"profile": "p", "agent": {**OPENAI, "api": "completions"}}),
        raft({"profile": "p", "agent": {"kind": "${SECRET}", "comand": ["a"]}}),
        [],
    ],
)
def test_both_refuse(tree: Any) -> None:
    with pytest.raises(ConfigError):
        config(tree, ENVIRON)
    assert list(VALIDATOR.iter_errors(tree))


def test_the_example_config_fits_and_each_setting_is_described() -> None:
    example = json5.loads((ROOT / "conf/raftsup.example.json5").read_text())
    assert list(VALIDATOR.iter_errors(example)) == []
    checks = [*ACCOUNT.values(), *(c for s in SECTIONS.values() for c in s.settings.values())]
    told = [check.schema for check in checks]
    told += [schema_of(kind)["properties"][key] for kind in KINDS for key in checks_of(kind)]
    assert all(one.get("description") for one in told)


def test_it_is_a_schema_of_its_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.document())


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema.document()))


def test_the_reference_is_up_to_date() -> None:
    """``python scripts/config_reference.py > docs/configuration.rst`` makes it anew."""
    assert (ROOT / "docs/configuration.rst").read_text() == page()


_edges = st.sampled_from(["", " ", "\t", "\n", "\x85", "${SECRET}", "$${", "~", "/", "@"])
_written = (
    st.sampled_from(["10m", "1.5 GiB", "off", "true", "4", "/a b", "~/x", "~", "ws://[::1]:1/x"])
    | st.sampled_from(["WSS://a", "https://a/v1", "hTTp://localhost", "sha256:" + "aB:" * 32])
    | st.sampled_from(["x-key", "A", "ab" * 32, "read", "allow"])
    | st.text(max_size=6)
)
_texts = st.tuples(_edges, _written, _edges).map("".join)
_values = (
    _texts | st.integers(-2, 1 << 41) | st.floats() | st.booleans() | st.lists(_texts, max_size=2)
    | st.dictionaries(_texts, _texts, max_size=2)
)  # fmt: skip
_CHECKS = {
    **{f"{name}.{key}": c for name, s in SECTIONS.items() for key, c in s.settings.items()},
    **{key: check for key, check in ACCOUNT.items() if key != "agent"},
    **{f"{kind}.{key}": check for kind in KINDS for key, check in checks_of(kind).items()},
}


@pytest.mark.parametrize("name", _CHECKS)
@settings(deadline=None, max_examples=100)
@given(_values)
def test_what_each_check_takes_its_schema_takes(name: str, value: object) -> None:
    check, errors = _CHECKS[name], ErrorCollector()
    held = check(resolve(value, ENVIRON, Location("f"), errors), Location("f"), errors)
    if not errors.problems:
        assert held is not INVALID
        assert list(jsonschema.Draft202012Validator(check.schema).iter_errors(value)) == []
