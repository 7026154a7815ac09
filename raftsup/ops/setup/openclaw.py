"""What an OpenClaw config has that a host of ours needs: pure, and without a secret.

Its keys are told in OpenClaw's docs: gateway/configuration, gateway/secrets, gateway/remote,
channels/raft, channels/channel-routing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raftsup.config.accounts import DEFAULT, normalise_id
from raftsup.config.agents import GATEWAY_TOKEN
from raftsup.ops.accounts import ChangeRefused, at

DEFAULT_PORT = 18789
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TAKEN = ("name", "enabled")


@dataclass(frozen=True)
class Found:
    """An account of OpenClaw's ``channels.raft``."""

    id: str
    profile: str
    #: Which of the Gateway's agents takes its turns, where a binding says so.
    agent: str | None
    more: Mapping[str, Any]


@dataclass(frozen=True)
class TakenOver:
    accounts: tuple[Found, ...]
    default_account: str | None
    agent: Mapping[str, Any]
    #: The variable that the agent's token or password is taken from; None: it needs none.
    variable: str | None
    #: The secret stands in OpenClaw's file itself.
    literal: bool
    #: OpenClaw's own plugin runs these accounts still.
    plugin_on: bool
    notes: tuple[str, ...]


def usual_path(environ: Mapping[str, str]) -> Path:
    if chosen := environ.get("OPENCLAW_CONFIG_PATH"):
        return Path(chosen).expanduser()
    home = Path(environ.get("HOME", "~")).expanduser()
    state = environ.get("OPENCLAW_STATE_DIR") or home / ".openclaw"
    return Path(state).expanduser() / "openclaw.json"


def take_over(tree: object) -> TakenOver:
    """What an ``openclaw.json`` says. Raises ``ChangeRefused`` where it has no Raft account."""
    notes: list[str] = []
    channel = at(tree, "channels", "raft")
    accounts = tuple(_accounts(tree, channel, notes))
    if not accounts:
        split = isinstance(tree, Mapping) and "$include" in str(tree)
        aside = " ($include is not followed: name the file with channels.raft)" if split else ""
        raise ChangeRefused(f"it has no account with a profile in channels.raft{aside}")
    agent, variable, literal = _gateway(at(tree, "gateway"), notes)
    if owner := _bound_agent(tree, None):
        agent["agentId"] = owner
    plugin = at(tree, "plugins", "entries", "raft")
    default = channel.get("defaultAccount")
    return TakenOver(
        accounts=accounts,
        default_account=normalise_id(default) if isinstance(default, str) else None,
        agent=agent,
        variable=variable,
        literal=literal,
        plugin_on=channel.get("enabled") is not False and plugin.get("enabled") is not False,
        notes=tuple(notes),
    )


def _accounts(tree: object, channel: Mapping[str, Any], notes: list[str]) -> list[Found]:
    entries: dict[str, Mapping[str, Any]] = {}
    if channel.get("profile"):
        entries[DEFAULT] = {"profile": channel["profile"], "name": channel.get("name")}
    for key in at(channel, "accounts"):
        id_ = normalise_id(key)
        entries[id_] = {**entries.get(id_, {}), **at(channel, "accounts", key)}
    found = []
    for id_, entry in entries.items():
        profile = entry.get("profile")
        if not isinstance(profile, str) or not profile.strip():
            notes.append(f"the account {id_} has no profile and was left out")
            continue
        more = {key: entry[key] for key in _TAKEN if entry.get(key) is not None}
        found.append(Found(id_, profile.strip(), _bound_agent(tree, id_), more))
    return found


def _bound_agent(tree: object, account: str | None) -> str | None:
    """The agent that a binding gives to an account; None as account: to the whole channel."""
    bindings = tree.get("bindings") if isinstance(tree, Mapping) else None
    for binding in bindings if isinstance(bindings, list) else ():
        match = at(binding, "match")
        named = match.get("accountId")
        whole = named in (None, "*")
        fits = whole if account is None else not whole and normalise_id(str(named)) == account
        others = match.keys() - {"channel", "accountId"}
        if match.get("channel") == "raft" and fits and not others:
            agent = binding.get("agentId")
            return agent if isinstance(agent, str) and agent else None
    return None


def _gateway(
    gateway: Mapping[str, Any], notes: list[str]
) -> tuple[dict[str, Any], str | None, bool]:
    """The agent, the variable of its secret, and whether the secret stands in the file."""
    remote = at(gateway, "remote")
    if gateway.get("mode") == "remote" and isinstance(remote.get("url"), str):
        url, auth = remote["url"], remote
        pin = remote.get("tlsFingerprint")
    else:
        tls = at(gateway, "tls").get("enabled") is True
        port = gateway.get("port", DEFAULT_PORT)
        url, auth, pin = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}", at(gateway, "auth"), None
        if tls:
            notes.append("the Gateway speaks TLS: where no known authority signed its certificate,"
                         " write its SHA-256 as turns.agent.tlsFingerprint")  # fmt: skip
    agent: dict[str, Any] = {"kind": "openclaw", "url": url}
    if isinstance(pin, str) and pin:
        agent["tlsFingerprint"] = pin
    if auth.get("mode") in ("none", "trusted-proxy"):
        notes.append(f"the Gateway's auth.mode is {auth['mode']}: no token was taken over")
        return agent, None, False
    by_password = auth.get("mode") == "password" or (
        auth.get("mode") is None and "password" in auth and "token" not in auth
    )
    key = "password" if by_password else "token"
    usual = "OPENCLAW_GATEWAY_PASSWORD" if by_password else GATEWAY_TOKEN
    named, literal = _secret(auth.get(key))
    agent[key] = f"${{{named or usual}}}"
    return agent, named or usual, literal


def secret_in(tree: object, taken: TakenOver) -> dict[str, str]:
    """The secret that stands in OpenClaw's file, by its variable: to try it, never to keep it."""
    gateway = at(tree, "gateway")
    auth = at(gateway, "remote" if gateway.get("mode") == "remote" else "auth")
    value = auth.get("password" if "password" in taken.agent else "token")
    held = taken.literal and taken.variable is not None and isinstance(value, str)
    return {str(taken.variable): str(value)} if held else {}


def _secret(value: object) -> tuple[str | None, bool]:
    """The variable that a secret is taken from, if it is; and whether it stands there itself."""
    if isinstance(value, str):
        found = _REFERENCE.fullmatch(value.strip())
        return (found[1], False) if found else (None, bool(value.strip()))
    if isinstance(value, Mapping) and value.get("source") == "env":
        name = value.get("id")
        return (name, False) if isinstance(name, str) and name else (None, False)
    return None, False
