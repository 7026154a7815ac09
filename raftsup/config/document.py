"""A whole config as JSON, for another process of this host: never for people, as it holds keys.

``{"version": 1, "config": {...}}``: the fields of ``model.Config``. A text that came from outside
of the file is ``{"text": ..., "written": ...}``, so that it stays masked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from raftsup.config.errors import ExternalText
from raftsup.config.model import Account, Agent, Config, Dedupe, LedgerSettings, Supervisor, Turns

VERSION = 1
_AGENTS: Mapping[str, type[Any]] = {model.kind: model for model in get_args(Agent)}


def dump(config: Config) -> bytes:
    """One line. ASCII: what is no UTF-8 in an argument or a variable goes through escaped."""
    return json.dumps({"version": VERSION, "config": _plain(config)}).encode()


def load(body: bytes) -> Config:
    """Raises ``ValueError``, with none of the document in its text, where it is none, or of another
    version.
    """
    try:
        document = json.loads(body)
        version = document["version"]
        if version == VERSION:
            return _config(document["config"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"it cannot be read ({type(error).__name__})") from None
    raise ValueError(f"it has format version {version}, this raftsup reads {VERSION}")


def _plain(value: Any) -> Any:
    match value:
        case ExternalText():
            return {"text": str(value), "written": value.written}
        case Path():
            return str(value)
        case tuple():
            return [_plain(one) for one in value]
        case Mapping():
            return {key: _plain(one) for key, one in value.items()}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return ExternalText(value["text"], value["written"])
    return value


def _config(raw: Mapping[str, Any]) -> Config:
    return Config(
        path=None if raw["path"] is None else Path(raw["path"]),
        accounts=tuple(map(_account, raw["accounts"])),
        default_account=raw["default_account"],
        turns=Turns(**raw["turns"]),
        dedupe=Dedupe(**raw["dedupe"]),
        ledger=LedgerSettings(**raw["ledger"]),
        supervisor=Supervisor(**raw["supervisor"]),
    )


def _account(raw: Mapping[str, Any]) -> Account:
    known = {key: _text(value) for key, value in raw.items() if key not in ("agent", "command")}
    return Account(**known, command=_texts(raw["command"]), agent=_agent(raw["agent"]))


def _agent(raw: Mapping[str, Any] | None) -> Agent | None:
    if raw is None:
        return None
    agent: Agent = _AGENTS[raw["kind"]](**{key: _setting(key, raw[key]) for key in raw})
    return agent


def _setting(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return _texts(value)
    if key in ("env", "headers"):
        return MappingProxyType({name: _text(one) for name, one in value.items()})
    return _text(value)


def _texts(values: list[Any]) -> tuple[Any, ...]:
    return tuple(map(_text, values))
