"""What each kind of agent may be given: one check a kind.

A check takes the agent's whole object and gives an ``Agent``, or ``INVALID`` after it has
reported why.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from raftsup.config.errors import ErrorCollector, ExternalText, Location, quoted, shown
from raftsup.config.model import AcpAgent, CommandAgent, OpenAIAgent, OpenClawAgent
from raftsup.config.validators import (
    INVALID,
    Check,
    Schema,
    choice,
    fingerprint,
    line_of,
    list_of,
    mapping,
    object_of,
    snake,
    takes,
    text,
    url,
    word,
)

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

#: The kinds of tools that an ACP agent may ask a permission for; its schema's ``ToolKind``.
TOOL_KINDS = (
    "read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode",
    "other",
)  # fmt: skip


def argv(example: str) -> Check:
    """A command: a list of texts of which the first names the program."""
    texts = list_of(text, example)

    program = {"type": "string", "pattern": r"\S"}

    @takes({**texts.schema, "prefixItems": [program], "examples": [json.loads(example)]})
    def check(value: object, place: Location, errors: ErrorCollector) -> Any:
        words = texts(value, place, errors)
        if words is not INVALID and not words[0].strip():
            errors.add(place.at(0), "the program has no name", f"write a list like {example}")
            return INVALID
        return words

    return check


@takes(line_of("[/~].*"))
def _path(value: object, place: Location, errors: ErrorCollector) -> Any:
    """An absolute path. ``~`` stands for the home folder."""
    path = word(value, place, errors)
    if path is INVALID or path is None:
        return path
    expanded = os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises for ~nobody
    if not PurePath(expanded).is_absolute():
        errors.add(place, f"{shown(value)} is not an absolute path",
                   'write a path that begins with "/" or "~/"')  # fmt: skip
        return INVALID
    return ExternalText(expanded, path.written) if isinstance(path, ExternalText) else expanded


@takes({**mapping(text).schema, "propertyNames": {"pattern": f"^{_VARIABLE_NAME.pattern}$"}})
def _environment(value: object, place: Location, errors: ErrorCollector) -> Any:
    held = mapping(text)(value, place, errors)
    if held is INVALID:
        return INVALID
    for name in held:
        if not _VARIABLE_NAME.fullmatch(name):
            errors.add(place.at(name), "is not a valid name of an environment variable",
                       "write letters, digits and underscores, no digit first")  # fmt: skip
    return MappingProxyType(held)


@takes(line_of(_HEADER_NAME.pattern))
def _header_name(value: object, place: Location, errors: ErrorCollector) -> Any:
    name = word(value, place, errors)
    if isinstance(name, str) and not _is_header_name(name, place, errors):
        return INVALID
    return name


def _is_header_name(name: str, place: Location, errors: ErrorCollector) -> bool:
    fits = _HEADER_NAME.fullmatch(name) is not None
    if not fits:
        errors.add(place, f"{shown(name)} is not a valid name of an HTTP header",
                   'write one like "x-openclaw-session-key"')  # fmt: skip
    return fits


@takes(word.schema)
def _header_value(value: object, place: Location, errors: ErrorCollector) -> Any:
    line = word(value, place, errors)
    if isinstance(line, str) and not line.isascii():
        # Not shown: it may be a key.
        errors.add(place, "an HTTP header cannot carry all of these characters",
                   "write plain ASCII: letters, digits and signs of an English keyboard",
                   )  # fmt: skip
        return INVALID
    return line


@takes({**mapping(word).schema, "propertyNames": {"pattern": f"^{_HEADER_NAME.pattern}$"}})
def _headers(value: object, place: Location, errors: ErrorCollector) -> Any:
    held = mapping(_header_value)(value, place, errors)
    if held is INVALID:
        return INVALID
    for name in held:
        _is_header_name(name, place.at(name), errors)
    return MappingProxyType({name: text for name, text in held.items() if text is not None})


@takes({"anyOf": [choice("allow", "deny").schema, list_of(choice(*TOOL_KINDS), "").schema]})
def _permissions(value: object, place: Location, errors: ErrorCollector) -> Any:
    if isinstance(value, list) and value:
        kinds = tuple(choice(*TOOL_KINDS)(kind, place.at(i), errors)
                      for i, kind in enumerate(value))  # fmt: skip
        return INVALID if INVALID in kinds else kinds
    if isinstance(value, str) and value.strip() in ("allow", "deny"):
        return value.strip()
    errors.add(place, f"{shown(value)} is not known here",
               'write "allow", "deny" or a list of tool kinds like ["read", "search"]')  # fmt: skip
    return INVALID


@takes(_path.schema)
def _secret_file(value: object, place: Location, errors: ErrorCollector) -> Any:
    """The secret in a file of its own, read now."""
    path = _path(value, place, errors)
    if path is INVALID or path is None:
        return path
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        errors.add(place, f"cannot read {quoted(path)}: {why}",
                   "make it a file with the key alone, readable for this user")  # fmt: skip
        return INVALID
    if not secret or any(ord(c) < 0x21 or ord(c) > 0x7E for c in secret):
        errors.add(place, f"{quoted(path)} holds no key: one line of printable characters",
                   "write the key alone into it")  # fmt: skip
        return INVALID
    return ExternalText(secret)


_ENV = _environment.says("variables for it, besides the host's own few: here its keys belong")

_FIELDS: dict[str, tuple[type[Any], dict[str, Check], dict[str, str]]] = {
    "command": (
        CommandAgent,
        {
            "command": argv('["claude", "-p"]').says(
                "program and arguments, without a shell; an argument {notice} becomes the notice,"
                " which else goes to standard input"
            ),
            "cwd": _path.says("its working folder; without it that of the host"),
            "env": _ENV,
        },
        {"command": 'a list like ["claude", "-p"]'},
    ),
    "openclaw": (
        OpenClawAgent,
        {
            "url": url("ws", "wss", "ws://127.0.0.1:18789").says(
                "the Gateway's address: ws:// on loopback, wss:// anywhere"
            ),
            "agentId": word.says("which of its agents; without it the Gateway's default one"),
            "sessionKey": word.says("which session; without it one for each lane"),
            "token": word.says("the Gateway's token; without one OPENCLAW_GATEWAY_TOKEN counts"),
            "password": word.says("its password, in place of a token"),
            "tlsFingerprint": fingerprint.says(
                "SHA-256 of the certificate that it must show, for one of no known issuer"
            ),
        },
        {"url": 'the Gateway\'s address, like "ws://127.0.0.1:18789"'},
    ),
    "acp": (
        AcpAgent,
        {
            "command": argv('["npx", "-y", "@agentclientprotocol/claude-agent-acp"]').says(
                "program and arguments, without a shell: one process for each lane"
            ),
            "cwd": _path.says("its working folder; without it the home folder"),
            "env": _ENV,
            "permissions": _permissions.says(
                "the answer when it asks for a permission, or the kinds of tools that are allowed"
            ).defaults(AcpAgent.permissions),
        },
        {"command": 'a list like ["gemini", "--experimental-acp"]'},
    ),
    "openai": (
        OpenAIAgent,
        {
            "baseUrl": url("http", "https", "http://127.0.0.1:18789/v1").says(
                "what /responses or /chat/completions is appended to; https:// to another host"
            ),
            "model": word.says("the model's name"),
            "api": choice("responses", "chat").says("which API").defaults(OpenAIAgent.api),
            "apiKey": _header_value.says("sent as a bearer token"),
            "apiKeyFile": _secret_file.says("a file that holds the key alone, in place of apiKey"),
            "session": word.says("a name for the session (the field user), one for each lane else"),
            "sessionHeader": _header_name.says("a header that carries the session besides"),
            "headers": _headers.says("more headers for each request"),
        },
        {"baseUrl": 'an address like "http://127.0.0.1:18789/v1"', "model": "the model's name"},
    ),
}

#: Two settings that say the same thing.
EITHER = {"openclaw": ("token", "password"), "openai": ("apiKey", "apiKeyFile")}


def checked(kind: str, value: Mapping[str, Any], place: Location, errors: ErrorCollector) -> Any:
    """The agent of a known ``kind``."""
    model, fields, required = _FIELDS[kind]
    held = object_of({"kind": text, **fields})(value, place, errors)
    for name, example in required.items():
        if name not in value or held.get(name, "") is None:
            errors.add(place.at(name), "is missing", f"write {example}")
            held.pop(name, None)
    one, other = EITHER.get(kind, ("", ""))
    if held.get(one) and held.get(other):
        errors.add(place.at(other), f"{one} is set as well", "keep one of them")
    if not required.keys() <= held.keys():
        return INVALID
    if key := held.pop("apiKeyFile", None):
        held["apiKey"] = key
    given = {snake(k): v for k, v in held.items() if k != "kind" and v is not None}
    return model(**given)


KINDS = tuple(_FIELDS)


def schema_of(kind: str) -> Schema:
    """What an agent of ``kind`` may have."""
    _, fields, required = _FIELDS[kind]
    named = object_of({"kind": Check(text.read, {"const": kind}), **fields})
    return {**named.schema, "required": ["kind", *required]}


def checks_of(kind: str) -> dict[str, Check]:
    """What an agent of ``kind`` may have besides its kind, by key."""
    return _FIELDS[kind][1]


def fields_of(kind: str) -> tuple[str, ...]:
    return tuple(checks_of(kind))
