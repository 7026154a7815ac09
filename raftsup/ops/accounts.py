"""What adding, removing, enabling and disabling an account changes in the config's tree: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raftsup.config.accounts import DEFAULT, normalise_id
from raftsup.config.json5.edit import Edit, Remove, Set
from raftsup.errors import RaftsupError
from raftsup.raft_names import wrong_agent_id, wrong_profile

CHANNEL = ("channels", "raft")
ACCOUNTS = (*CHANNEL, "accounts")
#: What makes or fills the account ``default`` at the top of ``channels.raft``.
_OF_DEFAULT = ("profile", "agentId", "agent", "lane", "name")


class ChangeRefused(RaftsupError):
    """The change makes no sense for this config; the message says why and what to do."""


def at(tree: object, *keys: str) -> Mapping[str, Any]:
    """The object at ``keys``; an empty one where there is none."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree if isinstance(tree, Mapping) else {}


def key_of(tree: object, id_: str) -> str | None:
    """The key under which the account ``id_`` stands in ``accounts``."""
    return next((key for key in at(tree, *ACCOUNTS) if normalise_id(key) == id_), None)


def of_profile(tree: object, profile: str) -> str | None:
    """The id of the account that has the CLI profile ``profile``."""
    if at(tree, *CHANNEL).get("profile") == profile:
        return DEFAULT
    entries = at(tree, *ACCOUNTS)
    return next((normalise_id(key) for key in entries
                 if at(entries, key).get("profile") == profile), None)  # fmt: skip


def ids(tree: object) -> list[str]:
    """The ids of all accounts that stand in the file."""
    found = [normalise_id(key) for key in at(tree, *ACCOUNTS)]
    return found if DEFAULT in found or not _top(tree) else [DEFAULT, *found]


def add(tree: object, id_: str, values: Mapping[str, Any]) -> list[Edit]:
    """Raises ``ChangeRefused`` where it exists already or its profile is another account's."""
    if not id_ or normalise_id(id_) != id_:
        raise ChangeRefused(f"{id_!r} is no account id; write 1 to 64 of a-z 0-9 _ -")
    for told in (
        wrong_profile(values["profile"]),
        wrong_agent_id(values.get("agentId") or "unasked"),
    ):
        if told:
            raise ChangeRefused(told)
    if id_ in ids(tree):
        raise ChangeRefused(
            f"there is an account {id_} already; `raftsup account remove {id_}` first, or choose"
            " another id"
        )
    if other := of_profile(tree, values["profile"]):
        raise ChangeRefused(
            f"the profile {values['profile']} is that of the account {other} already; each account"
            " needs one of its own"
        )
    return [Set((*ACCOUNTS, id_), {k: v for k, v in values.items() if v is not None})]


def remove(tree: object, id_: str) -> list[Edit]:
    """Raises ``ChangeRefused`` where there is no such account."""
    key = _known(tree, id_)
    edits: list[Edit] = [Remove((*ACCOUNTS, key))] if key is not None else []
    if id_ == DEFAULT:
        edits += [Remove((*CHANNEL, name)) for name in _top(tree)]
    if normalise_id(str(at(tree, *CHANNEL).get("defaultAccount", ""))) == id_:
        edits.append(Remove((*CHANNEL, "defaultAccount")))
    return edits


def enable(tree: object, id_: str, on: bool) -> list[Edit]:
    """Raises ``ChangeRefused`` where there is no such account, or it alone cannot be enabled."""
    key = _known(tree, id_)
    if on and at(tree, *CHANNEL).get("enabled") is False:
        raise ChangeRefused(
            "channels.raft.enabled is false, which disables every account; remove it there"
        )
    if on and at(tree, *ACCOUNTS, key or id_).get("enabled", True) is True:
        return []
    return [Set((*ACCOUNTS, key or id_, "enabled"), on)]


def _known(tree: object, id_: str) -> str | None:
    """The key of an account that stands in the file; None for ``default`` at the top alone."""
    if id_ not in ids(tree):
        from_outside = " (RAFT_PROFILE in the environment makes one)" if id_ == DEFAULT else ""
        raise ChangeRefused(
            f"there is no account {id_} in the file{from_outside};"
            f" there are: {', '.join(ids(tree)) or 'none'}"
        )
    return key_of(tree, id_)


def _top(tree: object) -> list[str]:
    return [name for name in _OF_DEFAULT if at(tree, *CHANNEL).get(name) is not None]
