"""``raftsup config schema`` takes what the loader takes, and refuses what it can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import json5
import jsonschema
import pytest
from hypothesis import given

from raftsup.cli.main import main
from raftsup.config import schema
from raftsup.config.load import ConfigError
from raftsup.config.schema import ACCOUNT, SECTIONS
from scripts.config_reference import page
from tests.unit.config_trees import config, raft
from tests.unit.test_config_secrets import ENVIRON, _nearly, _right, relaxed

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft202012Validator(schema.document())
COMMAND = {"kind": "command", "command": ["agent"]}


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
    assert all(check.schema.get("description") for check in checks)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema.document()))


def test_the_reference_is_up_to_date() -> None:
    """``python scripts/config_reference.py > docs/configuration.rst`` makes it anew."""
    assert (ROOT / "docs/configuration.rst").read_text() == page()
