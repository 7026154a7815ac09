"""What setup decides: pure. From answers to edits, and to the words at the end."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raftsup.config.accounts import DEFAULT, normalise_id
from raftsup.config.json5.edit import Edit, Set, same
from raftsup.ops.accounts import ACCOUNTS, CHANNEL, ChangeRefused, at, ids, key_of, of_profile

#: A file that is not there yet begins as this.
TEMPLATE = """\
// raftsup's config. `raftsup config check` says what raftsup makes of it, `raftsup reload` applies
// an edit to the running host. Every setting, with comments: conf/raftsup.example.json5.
//
// Keys and tokens do not belong here: write "${NAME}" and set NAME where raftsup is started (a
// service reads raftsup.env beside this file: one NAME=value a line, mode 0600).
{
  // The same tree as OpenClaw's channels.raft.
  channels: {
    raft: {
      // One Raft external agent each: its profile of the Raft CLI, and the agent id that
      // `raft --profile <profile> auth whoami` tells.
      accounts: {
      },
    },
  },

  turns: {
    // concurrency: 4,     // default; turns at one time over all accounts
    // timeout: "10m",     // default; a longer turn is ended
    // attempts: 3,        // default; a turn that failed so often stays failed

    // Takes the turns of every account that has no agent of its own.
  },
}
"""


def begun(text: str | None) -> str:
    """What a file's text is edited from: an empty file is none yet."""
    return text if text and text.strip() else TEMPLATE


@dataclass(frozen=True)
class Entry:
    """An account as it was agreed on."""

    id: str
    profile: str
    agent_id: str | None
    #: None: that of the other accounts.
    agent: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def proposed_id(profile: str) -> str:
    """An account id for a profile: ``support`` for ``support-agent``."""
    return normalise_id(profile.removesuffix("-agent")) or "default"


def check_id(tree: object, id_: str, profile: str) -> None:
    """Raises ``ChangeRefused`` where this id cannot be the account of this profile."""
    if not id_ or normalise_id(id_) != id_:
        raise ChangeRefused(f"{id_!r} is no account id; write 1 to 64 of a-z 0-9 _ -")
    holder = of_profile(tree, profile)
    if holder is not None and holder != id_:
        raise ChangeRefused(f"the profile {profile} is that of the account {holder} already")
    if holder is None and id_ in ids(tree):
        raise ChangeRefused(
            f"there is an account {id_} already, of another profile; choose another id"
        )


def edits(
    tree: object, entries: Sequence[Entry], command: Sequence[str] | None = None
) -> list[Edit]:
    """What is written: each account, and the first agent as that of all.

    ``command``: the Raft CLI, where it is not the one that the config has.
    """
    made: list[Edit] = []
    if command is not None and list(command) != usual_command(tree):
        made.append(Set((*CHANNEL, "command"), list(command)))
    common: object = at(tree, "turns").get("agent")
    for entry in entries:
        place = (*ACCOUNTS, key_of(tree, entry.id) or entry.id)
        values: dict[str, Any] = {"profile": entry.profile, "agentId": entry.agent_id, **entry.more}
        if entry.agent is not None and common is None:
            common = dict(entry.agent)
            made.append(Set(("turns", "agent"), common))
        elif entry.agent is not None and not same(entry.agent, common):
            values["agent"] = dict(entry.agent)
        given = {key: value for key, value in values.items() if value is not None}
        if key_of(tree, entry.id) is None and entry.id == DEFAULT and DEFAULT in ids(tree):
            # As OpenClaw's pages write a single account.
            made += [Set((*CHANNEL, key), value) for key, value in given.items()]
        elif key_of(tree, entry.id) is None:
            made.append(Set(place, given))
        else:
            made += [Set((*place, key), value) for key, value in given.items()]
    return made


def usual_command(tree: object) -> list[str]:
    """The Raft CLI of a config."""
    written = at(tree, *CHANNEL).get("command")
    good = isinstance(written, list) and all(isinstance(word, str) for word in written)
    return list(written) if good and written else ["raft"]


def kept_agent(tree: object, id_: str) -> str | None:
    """Which agent an account has if nothing is written of one, in words; None: none."""
    common = at(tree, "turns", "agent").get("kind")
    own = at(tree, *ACCOUNTS, key_of(tree, id_) or id_, "agent")
    if not own and id_ == DEFAULT:
        own = at(tree, *CHANNEL, "agent")
    if own:
        return f"the one that it has ({own.get('kind', common)})"
    return f"the same as the other accounts ({common})" if common else None


def environment_file(config: Path) -> Path:
    """Where the installed service of a config takes variables from."""
    return config.with_name("raftsup.env")


def next_words(unset: Sequence[str], config: Path, *, runs: bool) -> list[str]:
    """What to type next."""
    words = []
    if unset:
        words.append("First, since the config takes them from the environment:")
        words += [f"  export {name}=..." for name in unset]
        lines = ", ".join(f"{name}=..." for name in unset)
        words.append(f"  (for a service: {lines} in {environment_file(config)}, mode 0600)")
        words.append("  raftsup config check --live")
    words.append("Next:")
    if runs and not unset:
        words.append("  raftsup status")
    elif runs:
        words.append("  raftsup up --force -d    (the running host has not these variables)")
    else:
        words.append("  raftsup up -d && raftsup status")
    return words


def difference(before: str, after: str) -> tuple[list[str], int]:
    """The lines that ``after`` has anew, and how many of ``before`` it has not."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return [line[2:] for line in lines if line[:2] == "+ "], sum(x[:2] == "- " for x in lines)
