"""What a change of the config takes: a pure rule over two configs.

==================================================  ============================================
setting                                             what its change takes
==================================================  ============================================
``defaultAccount``, an account's ``name``,          nothing: nobody that runs uses it
anything of an account that does not run
an account's ``agent``, ``lane``; ``turns.*`` but   live: the dispatcher has it from the next
``coalesce``; ``supervisor.reload``                 start of a turn on, what runs goes on
an account that is new, or runs from now on         start: its worker alone is started
an account that is gone, or runs no more            stop: its worker alone is stopped
an account's ``profile``, ``agentId``,              restart: its worker alone is restarted; a turn
``command``, ``activity``                           under way goes on in the dispatcher
``turns.coalesce``, ``dedupe.*``,                   restart: every worker is restarted
``supervisor.watchdog``
``ledger.mapSize``                                  host: every process has the ledger open, so
                                                    the whole host is restarted
==================================================  ============================================

What is done about it by itself (``supervisor.reload``) when the file changes:

===========  ===================================================================================
``off``      nothing
``hot``      nothing, live, start, stop
``hybrid``   those and restart (the default; also what ``raftsup reload`` does by hand)
``restart``  all; for ``host`` the running turns get ``turns.drain`` first
===========  ===================================================================================

What is not done stays as it was, and the config in force is put together accordingly (``merged``),
so that a worker or dispatcher that dies starts again with what its neighbours run with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from raftsup.config.model import Account, Config
from raftsup.config.validators import camel


class Takes(StrEnum):
    NOTHING = "nothing"
    LIVE = "live"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    HOST = "host"


_HOT = frozenset({Takes.NOTHING, Takes.LIVE, Takes.START, Takes.STOP})
#: What a person may have applied without a restart of the whole host.
BY_HAND = _HOT | {Takes.RESTART}
EVERYTHING = frozenset(Takes)
#: What is applied by itself, by mode.
MODES: Mapping[str, frozenset[Takes]] = {
    "off": frozenset(),
    "hot": _HOT,
    "hybrid": BY_HAND,
    "restart": EVERYTHING,
}

#: Sections of the config; what the change of a setting takes that is not live.
_SECTIONS = ("turns", "dedupe", "ledger", "supervisor")
_NOT_LIVE = {
    "turns.coalesce": Takes.RESTART,
    "dedupe.ttl": Takes.RESTART,
    "dedupe.max_entries": Takes.RESTART,
    "ledger.map_size": Takes.HOST,
    "supervisor.watchdog": Takes.RESTART,
    "supervisor.bridge_silence": Takes.RESTART,
    "supervisor.bridge_restart": Takes.RESTART,
}
#: Of an account that runs before and after.
_OF_ACCOUNT = {
    "profile": Takes.RESTART,
    "agent_id": Takes.RESTART,
    "command": Takes.RESTART,
    "activity": Takes.RESTART,
    "agent": Takes.LIVE,
    "lane": Takes.LIVE,
    "name": Takes.NOTHING,
}


@dataclass(frozen=True)
class Change:
    """One setting that differs. It names no value: some are keys."""

    #: Its path in the file.
    path: str
    takes: Takes
    #: The account that it concerns; None: all of them, or none.
    account: str | None = None


def changes(old: Config, new: Config) -> list[Change]:
    """What differs, in the order of the file."""
    found = []
    if old.default_account != new.default_account:
        found.append(Change("channels.raft.defaultAccount", Takes.NOTHING))
    for id_ in _ids(old, new):
        found += _of_account(id_, old.account(id_), new.account(id_))
    for section in _SECTIONS:
        before, after = getattr(old, section), getattr(new, section)
        for field in fields(before):
            if getattr(before, field.name) != getattr(after, field.name):
                takes = _NOT_LIVE.get(f"{section}.{field.name}", Takes.LIVE)
                found.append(Change(f"{section}.{camel(field.name)}", takes))
    return found


def _ids(old: Config, new: Config) -> list[str]:
    return list(dict.fromkeys(a.id for config in (new, old) for a in config.accounts))


def _of_account(id_: str, old: Account | None, new: Account | None) -> list[Change]:
    place = f"channels.raft.accounts.{id_}"
    ran, runs = old is not None and old.runs, new is not None and new.runs
    if ran != runs:
        return [Change(place, Takes.START if runs else Takes.STOP, id_)]
    if not runs:
        return [] if old == new else [Change(place, Takes.NOTHING, id_)]
    return [
        Change(f"{place}.{camel(name)}", takes, id_)
        for name, takes in _OF_ACCOUNT.items()
        if getattr(old, name) != getattr(new, name)
    ]


def merged(old: Config, new: Config, allowed: Collection[Takes]) -> Config:
    """``old`` with those changes to ``new`` that take something ``allowed``."""
    found = (_merged_account(old.account(i), new.account(i), allowed) for i in _ids(old, new))
    accounts = _without_clash([a for a in found if a is not None], old)
    sections = {name: _merged_section(name, old, new, allowed) for name in _SECTIONS}
    top = new if Takes.NOTHING in allowed else old
    return Config(top.path, accounts, top.default_account, **sections)


def _merged_section(name: str, old: Config, new: Config, allowed: Collection[Takes]) -> Any:
    before, after = getattr(old, name), getattr(new, name)
    taken = {
        field.name: getattr(after, field.name)
        for field in fields(before)
        if _NOT_LIVE.get(f"{name}.{field.name}", Takes.LIVE) in allowed
    }
    return replace(before, **taken)


def _merged_account(
    old: Account | None, new: Account | None, allowed: Collection[Takes]
) -> Account | None:
    ran, runs = old is not None and old.runs, new is not None and new.runs
    if ran != runs:
        return new if (Takes.START if runs else Takes.STOP) in allowed else old
    if old is None or new is None or not runs:
        return new if Takes.NOTHING in allowed else old
    # What no table names (the id, whether it runs) is the same in both.
    taken = {k: getattr(new, k) for k, takes in _OF_ACCOUNT.items() if takes in allowed}
    return replace(old, **taken)


def _without_clash(accounts: Iterable[Account], old: Config) -> tuple[Account, ...]:
    """Without those that would start on a profile which another one has not given up yet: its
    own change of profile takes a restart that is not allowed.
    """
    kept = list(accounts)
    ran = {a.id for a in old.accounts if a.runs}
    taken = {a.profile for a in kept if a.runs and a.id in ran}
    early = {a.id for a in kept if a.runs and a.id not in ran and a.profile in taken}
    found = (old.account(a.id) if a.id in early else a for a in kept)
    return tuple(a for a in found if a is not None)


def open_changes(found: Iterable[Change]) -> list[Change]:
    """Those that somebody who runs would notice."""
    return [change for change in found if change.takes is not Takes.NOTHING]


def command_for(found: Iterable[Change]) -> str:
    """What to type so that these changes are applied; "" for none."""
    takes = {change.takes for change in open_changes(found)}
    if not takes:
        return ""
    return "raftsup restart" if takes == {Takes.HOST} else "raftsup reload"
