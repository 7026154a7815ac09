"""Configs for tests, written to a file and loaded from there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raftsup.config.errors import ConfigError
from raftsup.config.load import load
from raftsup.config.model import Config

AGENT = {"kind": "command", "command": ["agent"]}


def config_text(
    text: str, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> Config:
    """Load a config file with this text."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "raftsup.json5"
        file.write_text(text)
        return load(file, environ or {}, flags or {})


def config(
    tree: object, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> Config:
    """Load a config file that holds this tree."""
    return config_text(json.dumps(tree), environ, flags)


def raft(channel: Mapping[str, Any], **sections: Any) -> dict[str, Any]:
    """A tree with this ``channels.raft`` and an agent for all accounts."""
    return {"channels": {"raft": channel}, "turns": {"agent": AGENT}, **sections}


def problems(
    tree: object, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What is wrong with a tree: path (no file) to ``what; hint``. Fails if nothing is."""
    with pytest.raises(ConfigError) as caught:
        config(tree, environ, flags)
    found = {
        problem.where.split("raftsup.json5: ")[-1]: f"{problem.what}; {problem.hint}"
        for problem in caught.value.problems
    }
    assert len(found) == len(caught.value.problems), "two problems at one place"
    return found
