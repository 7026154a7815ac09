"""The agents that take turns: which kind each is, and what it takes over from ``turns.agent``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raftsup.config.agent_kinds import EITHER, KINDS, checked, fields_of, schema_of
from raftsup.config.errors import ErrorCollector, ExternalText, Location, kind, shown
from raftsup.config.validators import INVALID, VARIABLE, Schema, did_you_mean, takes

EXAMPLE = '{ kind: "command", command: ["<your agent>"] }'
#: OpenClaw's own variable for the Gateway's token.
GATEWAY_TOKEN = "OPENCLAW_GATEWAY_TOKEN"  # noqa: S105 (its name)


class _Changed(dict[str, Any]):
    """An account's agent that is that of ``turns.agent``, with ``own`` keys in place of its."""

    def __init__(self, common: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        # An own password stands in place of the token that it would clash with.
        settled = {name for pair in EITHER.values() if own.keys() & set(pair) for name in pair}
        super().__init__({k: v for k, v in common.items() if k not in settled} | dict(own))
        self.own = own.keys()


class _OwnOnly(ErrorCollector):
    """Hears what an account's own keys have wrong; what is wrong with the others is told where
    they stand, at ``turns.agent``.
    """

    def __init__(self, whole: ErrorCollector, place: Location, agent: _Changed) -> None:
        super().__init__(whole.problems)
        self._depth, self._agent = len(place.keys), agent

    def add(self, place: Location, what: str, hint: str) -> None:
        if place.keys[self._depth] not in self._agent.own:
            return
        if what == "unknown key":
            what += f" of the kind {shown(self._agent.get('kind'))}, which is that of turns.agent"
        super().add(place, what, hint)


_ANY: dict[str, Schema] = {key: {} for kind in KINDS for key in fields_of(kind)}
#: Of an account also without a kind: that of ``turns.agent``, changed.
_SCHEMA: Schema = {
    "type": "object",
    "anyOf": [
        *(schema_of(kind) for kind in KINDS),
        {"not": {"required": ["kind"]}, "properties": _ANY, "additionalProperties": False},
        {
            "properties": {**_ANY, "kind": VARIABLE},
            "required": ["kind"],
            "additionalProperties": False,
        },
    ],
}


@takes(_SCHEMA)
def agent(value: object, place: Location, errors: ErrorCollector) -> Any:
    if not isinstance(value, dict):
        errors.add(place, f"{kind(value)} is not allowed here", f"write an object like {EXAMPLE}")
        return INVALID
    if isinstance(value, _Changed):
        errors = _OwnOnly(errors, place, value)
    if "kind" not in value:
        common = "" if place.keys[0] == "turns" else ", or write turns.agent, which this changes"
        errors.add(place.at("kind"), "is missing", f"write one of {_known_kinds()}{common}")
        return INVALID
    chosen = value["kind"]
    if chosen is INVALID:
        return INVALID
    if not isinstance(chosen, str) or chosen not in KINDS:
        hint = did_you_mean(chosen, KINDS) if isinstance(chosen, str) else ""
        guess = f" ({hint})" if hint.startswith("did you mean") else ""
        errors.add(place.at("kind"), f"{shown(chosen)} is not a known kind of agent",
                   f"write one of {_known_kinds()}{guess}")  # fmt: skip
        return INVALID
    return checked(chosen, value, place, errors)


def completed(tree: object, environ: Mapping[str, str]) -> object:
    """``tree`` (a whole config, unchecked) with what its agents leave unsaid.

    An account's agent without a ``kind`` is that of ``turns.agent``, changed: so ``agent:
    {agentId: "sales"}`` names another agent of the same Gateway. A Gateway without credentials
    has those of ``OPENCLAW_GATEWAY_TOKEN``, as OpenClaw's own clients have.
    """
    common = _at(tree, "turns").get("agent")

    def whole(own: object) -> object:
        if not isinstance(own, dict):
            return own
        if "kind" not in own and isinstance(common, dict) and own is not common:
            held: dict[str, Any] = _Changed(common, own)
        else:
            held = dict(own)
        token = environ.get(GATEWAY_TOKEN, "").strip()
        if held.get("kind") == "openclaw" and token and not held.keys() & {"token", "password"}:
            held["token"] = ExternalText(token, f"${{{GATEWAY_TOKEN}}}")
        return held

    tree = _changed(tree, ("turns", "agent"), whole)
    tree = _changed(tree, ("channels", "raft", "agent"), whole)
    for id_ in _at(tree, "channels", "raft", "accounts"):
        tree = _changed(tree, ("channels", "raft", "accounts", id_, "agent"), whole)
    return tree


def _at(tree: object, *keys: str) -> dict[str, Any]:
    """The object at ``keys``; an empty one where there is none."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}


def _changed(tree: object, keys: tuple[str, ...], change: Any) -> object:
    """A copy with ``change`` applied at ``keys``, if there is something."""
    if not keys:
        return change(tree)
    if not isinstance(tree, dict) or keys[0] not in tree:
        return tree
    return {**tree, keys[0]: _changed(tree[keys[0]], keys[1:], change)}


def _known_kinds() -> str:
    return ", ".join(f'"{name}"' for name in sorted(KINDS))
