"""A config as a JSON object for people and scripts, without its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from raftsup.config.model import Config
from raftsup.config.problems import Outside

MASK = "***"


def describe(config: Config) -> dict[str, Any]:
    """All settings, as the model names them; durations in seconds, sizes in bytes.

    Values of an agent's ``env`` are masked. Any other text that took a ``${VAR}`` is shown
    as it is written in the file.
    """
    described: dict[str, Any] = _plain(config)
    return described


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        # The only mapping of the model is an agent's environment.
        return dict.fromkeys(value, MASK)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Outside):
        return value.written
    return str(value) if isinstance(value, Path) else value
