"""The kinds of agents that take turns: one check for each, in ``KINDS``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from raftsup.config.model import Agent, CommandAgent
from raftsup.config.problems import Outside, Place, Report, kind, shown
from raftsup.config.tables import did_you_mean, mapping, some, table
from raftsup.config.values import INVALID, Check, text, word

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

EXAMPLE = '{ kind: "command", command: ["<your agent>"] }'


def argv(example: str) -> Check:
    """A command: a list of texts of which the first names the program."""
    texts = some(text, example)

    def check(value: object, place: Place, report: Report) -> Any:
        words = texts(value, place, report)
        if words is not INVALID and not words[0].strip():
            report.add(place.at(0), "the program has no name", f"write a list like {example}")
            return INVALID
        return words

    return check


def _folder(value: object, place: Place, report: Report) -> Any:
    """An absolute path. ``~`` stands for the home folder."""
    path = word(value, place, report)
    if path is INVALID or path is None:
        return path
    expanded = os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises for ~nobody
    if not PurePath(expanded).is_absolute():
        report.add(place, f"{shown(value)} is no absolute path",
                   'write a path that begins with "/" or "~/"')  # fmt: skip
        return INVALID
    return Outside(expanded, path.written) if isinstance(path, Outside) else expanded


def _environment(value: object, place: Place, report: Report) -> Any:
    held = mapping(text)(value, place, report)
    if held is INVALID:
        return INVALID
    for name in held:
        if not _VARIABLE_NAME.fullmatch(name):
            report.add(place.at(name), "is no name of an environment variable",
                       "write letters, digits and underscores, no digit first")  # fmt: skip
    return held


_COMMAND = table(
    {
        "kind": text,
        "command": argv('["claude", "-p"]'),
        "cwd": _folder,
        "env": _environment,
    }
)


def _command(value: Mapping[str, Any], place: Place, report: Report) -> Any:
    held = _COMMAND(value, place, report)
    if "command" not in value:
        report.add(place.at("command"), "is missing", 'write a list like ["claude", "-p"]')
    if "command" not in held:
        return INVALID
    env = MappingProxyType(dict(held.get("env", {})))
    return CommandAgent(command=held["command"], cwd=held.get("cwd"), env=env)


#: Each takes the agent's whole object and gives an ``Agent`` or ``INVALID``.
KINDS: dict[str, Callable[[Mapping[str, Any], Place, Report], Agent | Any]] = {
    "command": _command,
}


def agent(value: object, place: Place, report: Report) -> Any:
    if not isinstance(value, dict):
        report.add(place, f"{kind(value)} is not allowed here", f"write an object like {EXAMPLE}")
        return INVALID
    if "kind" not in value:
        report.add(place.at("kind"), "is missing", f"write one of {_known_kinds()}")
        return INVALID
    chosen = value["kind"]
    if chosen is INVALID:
        return INVALID
    if not isinstance(chosen, str) or chosen not in KINDS:
        hint = did_you_mean(chosen, KINDS) if isinstance(chosen, str) else ""
        guess = f" ({hint})" if hint.startswith("did you mean") else ""
        report.add(place.at("kind"), f"no agent is of the kind {shown(chosen)}",
                   f"write one of {_known_kinds()}{guess}")  # fmt: skip
        return INVALID
    return KINDS[chosen](value, place, report)


def _known_kinds() -> str:
    return ", ".join(f'"{name}"' for name in sorted(KINDS))
