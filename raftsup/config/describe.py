"""A config as a JSON object for people and scripts, without its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from raftsup.config.errors import ExternalText
from raftsup.config.model import Config
from raftsup.config.validators import camel

MASK = "***"


def describe(config: Config) -> dict[str, Any]:
    """All settings, by the keys of the file; durations in seconds, sizes in bytes.

    What may hold a key is masked, unless it is written as a ``${VAR}``: any text that took one
    is shown as it is written in the file.
    """
    described: dict[str, Any] = _plain(config)
    return described


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {camel(f.name): _field(f, getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, ExternalText):
        return value.written
    return str(value) if isinstance(value, Path) else value


def _field(field: Field[Any], value: Any) -> Any:
    if not field.metadata.get("secret") or value is None:
        return _plain(value)
    if isinstance(value, Mapping):
        return dict.fromkeys(value, MASK)
    return value.written if isinstance(value, ExternalText) else MASK
