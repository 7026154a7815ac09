"""The agents that take turns: which kind each is, and what it takes over from ``turns.agent``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raftsup.config.agent_kinds import KINDS, checked
from raftsup.config.problems import Outside, Place, Report, kind, shown
from raftsup.config.tables import did_you_mean
from raftsup.config.values import INVALID

EXAMPLE = '{ kind: "command", command: ["<your agent>"] }'
#: OpenClaw's own variable for the Gateway's token.
GATEWAY_TOKEN = "OPENCLAW_GATEWAY_TOKEN"  # noqa: S105 (its name)


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
    return checked(chosen, value, place, report)


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
        if "kind" not in own and isinstance(common, dict):
            own = {**common, **own}
        token = environ.get(GATEWAY_TOKEN, "").strip()
        if own.get("kind") == "openclaw" and token and not own.keys() & {"token", "password"}:
            own = {**own, "token": Outside(token, f"${{{GATEWAY_TOKEN}}}")}
        return own

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
