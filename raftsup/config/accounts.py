"""Which accounts a config describes. The rules are those of OpenClaw's Raft plugin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raftsup import raft_home
from raftsup.config.agents import EXAMPLE
from raftsup.config.errors import ErrorCollector, Location, quoted
from raftsup.config.model import Account, AcpAgent, Agent, OpenClawAgent
from raftsup.config.validators import did_you_mean
from raftsup.raft_names import wrong_profile

DEFAULT = "default"

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_UNSAFE = re.compile(r"[^a-z0-9_-]+")
#: At the top of ``channels.raft``, each of these makes or fills the account ``default``.
_OF_DEFAULT = ("profile", "agentId", "agent", "lane", "name")


def normalise_id(key: str) -> str:
    """The account id that a key stands for: 1 to 64 of ``a-z 0-9 _ -``, or ``""``."""
    if _SAFE_ID.fullmatch(key):
        return key.lower()
    return _UNSAFE.sub("-", key.lower()).strip("-")[:64]


@dataclass(frozen=True)
class _Entry:
    """An account as it is written: its values, and where its own object is."""

    values: Mapping[str, Any]
    place: Location
    #: Where the profile stands; it may come from the top or from RAFT_PROFILE.
    profile_place: Location


def accounts(
    channel: Mapping[str, Any],
    place: Location,
    environ: Mapping[str, str],
    fallback_agent: Agent | None,
    errors: ErrorCollector,
) -> tuple[Account, ...]:
    """The accounts of a checked ``channels.raft``, disabled and misconfigured ones too.

    ``fallback_agent`` (``turns.agent``) takes the turns of an account without one of its own.
    """
    entries = _with_default(_named(channel, place, errors), channel, place, environ)
    _check_profiles(entries, errors)
    found = tuple(
        _account(id_, entry, channel, place, fallback_agent) for id_, entry in entries.items()
    )
    _check_lanes(found, entries, errors)
    return found


def _named(
    channel: Mapping[str, Any], place: Location, errors: ErrorCollector
) -> dict[str, _Entry]:
    """What ``accounts`` holds, under normalised ids."""
    entries: dict[str, _Entry] = {}
    for key, values in channel.get("accounts", {}).items():
        own = place.at("accounts", key)
        id_ = normalise_id(key)
        if not id_:
            errors.add(own, "this key leaves no account id",
                       "write letters, digits, dashes or underscores")  # fmt: skip
        elif id_ in entries:
            errors.add(own, f"this is the account {quoted(id_)}, as is {entries[id_].place.path}",
                       "rename or remove one of them")  # fmt: skip
        else:
            entries[id_] = _Entry(values, own, own.at("profile"))
    return entries


def _with_default(
    entries: dict[str, _Entry],
    channel: Mapping[str, Any],
    place: Location,
    environ: Mapping[str, str],
) -> dict[str, _Entry]:
    """Make or fill the account ``default``: its own, then the top's, then the profile that the
    environment selects, as it would for the Raft CLI. One that a named account has is that account.
    """
    top = {key: channel[key] for key in _OF_DEFAULT if channel.get(key) is not None}
    own = entries.get(DEFAULT)
    written = {k: v for k, v in own.values.items() if v is not None} if own else {}
    values = {**top, **written}
    profile_place = own.profile_place if own else place.at("profile")
    if "profile" in top and "profile" not in written:
        profile_place = place.at("profile")
    variable, selected = selected_profile(environ)
    named = {entry.values.get("profile") for id_, entry in entries.items() if id_ != DEFAULT}
    if "profile" not in values and selected and selected not in named:
        values["profile"] = selected
        profile_place = Location(f"{variable} in the environment")
    if own is None and not values:
        return entries
    made = _Entry(values, own.place if own else place, profile_place)
    return {**entries, DEFAULT: made} if own else {DEFAULT: made, **entries}


def selected_profile(environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable that selects a profile of the Raft CLI, and the profile; "" where none does."""
    chosen = ((name, environ.get(name, "").strip()) for name in raft_home.SELECTED)
    return next((pair for pair in chosen if pair[1]), ("", ""))


def check_environment(
    found: tuple[Account, ...], environ: Mapping[str, str], errors: ErrorCollector
) -> None:
    """What the Raft CLI would refuse, or give to the wrong account."""
    selected = {n: environ[n].strip() for n in raft_home.SELECTED if environ.get(n, "").strip()}
    for name, profile in selected.items():
        if reason := wrong_profile(profile):
            errors.add(Location(f"{name} in the environment"), reason, "correct or unset it")
    if len(set(selected.values())) > 1:
        errors.add(Location(" and ".join(selected) + " in the environment"),
                   "they name different profiles of the Raft CLI", "unset one of them")  # fmt: skip
    for name, what, hint in raft_home.wrong(environ):
        errors.add(Location(f"{name} in the environment"), what, hint)
    wanted = [account.id for account in found if account.runs]
    for name in (*raft_home.SINGLE, raft_home.BRIDGE_STATE):
        if environ.get(name) and len(wanted) > 1:
            of = "bridge" if name == raft_home.BRIDGE_STATE else "profile"
            errors.add(Location(f"{name} in the environment"),
                       f"it is the folder of one single {of}, and there are {len(wanted)}"
                       f" accounts: {', '.join(wanted)}",
                       "unset it; a folder that holds profiles is named by RAFT_HOME")  # fmt: skip


def _check_profiles(entries: Mapping[str, _Entry], errors: ErrorCollector) -> None:
    """Two accounts on one profile would steal each other's bridge, also once enabled."""
    first: dict[str, _Entry] = {}
    for entry in entries.values():
        profile = entry.values.get("profile")
        if profile is None:
            continue
        if profile in first:
            errors.add(entry.profile_place,
                       f"the same Raft CLI profile as {_short(first[profile], entry)}",
                       "give each account a profile of its own, or remove one")  # fmt: skip
        first.setdefault(profile, entry)


def _check_lanes(
    found: tuple[Account, ...], entries: Mapping[str, _Entry], errors: ErrorCollector
) -> None:
    """A lane is the order of one agent session: one ACP agent stays in it from turn to turn, and
    a Gateway's session that the config names belongs to one lane.
    """
    agents: dict[str, Account] = {}
    lanes: dict[tuple[str, str | None, str], Account] = {}
    for account in found:
        place = entries[account.id].place.at("lane")
        match account.agent:
            case AcpAgent():
                other = agents.setdefault(account.lane, account)
                if other.agent != account.agent:
                    errors.add(place, f"the lane {quoted(account.lane)} has another ACP agent,"
                               f" that of {other.id}",
                               "give it a lane of its own, or the same agent")  # fmt: skip
            case OpenClawAgent(url=url, agent_id=agent_id, session_key=str(key)):
                other = lanes.setdefault((url, agent_id, key), account)
                if other.lane != account.lane:
                    errors.add(place, f"it shares the Gateway's session {quoted(key)} with"
                               f" {other.id}, which is in the lane {quoted(other.lane)}",
                               f"write lane: {quoted(other.lane)}, or another session")  # fmt: skip


def _short(other: _Entry, beside: _Entry) -> str:
    """``other``'s place; without the file where ``beside`` already names it."""
    same_file = other.profile_place.source == beside.profile_place.source
    return other.profile_place.path if same_file else str(other.profile_place)


def _account(
    id_: str,
    entry: _Entry,
    channel: Mapping[str, Any],
    top: Location,
    fallback_agent: Agent | None,
) -> Account:
    values = entry.values
    profile = values.get("profile")
    agent = values.get("agent") or fallback_agent
    missing = []
    if profile is None:
        also = " or set RAFT_PROFILE" if id_ == DEFAULT else ""
        missing.append(f"{entry.place.at('profile')}: no Raft CLI profile; write"
                       f' profile: "<Raft CLI profile>"{also}')  # fmt: skip
    if agent is None:
        missing.append(f"{entry.place.at('agent')}: no agent to take its turns; write agent:"
                       f" {EXAMPLE} here, or as turns.agent for all accounts")  # fmt: skip
    return Account(
        id=id_,
        enabled=channel.get("enabled", True) and values.get("enabled", True),
        profile=profile,
        agent_id=values.get("agentId"),
        command=values.get("command") or channel.get("command") or ("raft",),
        agent=agent,
        lane=values.get("lane") or id_,
        activity=values.get("activity") or channel.get("activity") or "off",
        name=values.get("name"),
        problem="; ".join(missing) or None,
    )


def default_account(
    channel: Mapping[str, Any], found: tuple[Account, ...], place: Location, errors: ErrorCollector
) -> str | None:
    """The id that ``defaultAccount`` names, if it is set."""
    written = channel.get("defaultAccount")
    if written is None:
        return None
    id_ = normalise_id(written)
    ids = [account.id for account in found]
    if id_ not in ids:
        errors.add(place.at("defaultAccount"), f"there is no account {quoted(written)}",
                   did_you_mean(id_, ids))  # fmt: skip
    return id_
