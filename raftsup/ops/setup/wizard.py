"""The conversation of ``raftsup setup``: from nothing to a text that everybody agreed on.

Writes nothing: what it comes to is a ``Plan``, so that Ctrl-C at any question leaves the config as
it is. Only a profile may have been signed in by then (``Ask.done``).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raftsup.config.errors import ConfigError, ErrorCollector, Location
from raftsup.config.file_update import refuse_closed, refuse_worse, unset_variables
from raftsup.config.json5.edit import Edit, EditRefused, Set, edited, same
from raftsup.config.reader import parse, resolve, text_in
from raftsup.config.validators import INVALID
from raftsup.ops.accounts import CHANNEL, ChangeRefused, at, of_profile
from raftsup.ops.config_update import Target, lenient
from raftsup.ops.raft_cli import located
from raftsup.ops.setup import plan
from raftsup.ops.setup.agents import ask_agent
from raftsup.ops.setup.openclaw import TakenOver, secret_in, take_over
from raftsup.ops.setup.prompts import Ask
from raftsup.ops.setup.raft import ask_profile, ask_whoami, signed_in_by_flags
from raftsup.ops.setup.verify import try_agents


@dataclass(frozen=True)
class Given:
    """What the flags say."""

    profile: str | None = None
    account: str | None = None
    agent_id: str | None = None
    agent: Mapping[str, Any] | None = None
    command: Sequence[str] | None = None
    #: An ``openclaw.json`` to take over from.
    openclaw: Path | None = None
    check: bool = True
    #: Where to sign the profile in, and the agent's token for it.
    server: str | None = None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Plan:
    """What is to be written."""

    #: The file as it was read; None if there is none.
    before: str | None
    text: str
    #: The variables that it takes and this environment has not.
    unset: Sequence[str] = ()
    #: What to do besides, in the words for the person.
    notes: Sequence[str] = ()

    def over(self, now: str | None) -> str:
        """The text, in place of what stands in the file ``now``. Raises ``EditRefused``."""
        if now != self.before:
            raise EditRefused("the file was changed meanwhile and was left as it is; start again")
        return self.text


@dataclass(frozen=True)
class _Draft:
    target: Target
    before: str | None
    text: str
    ids: tuple[str, ...] = ()
    #: Secrets of a file that is taken over: to try the agent with, and nothing else.
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def tree(self) -> object:
        return parse(self.text, self.target.path)

    def edited(self, edits: Sequence[Edit], *ids: str) -> _Draft:
        """Raises ``EditRefused``, and ``ConfigError`` for what no host would take."""
        text = edited(self.text, edits, self.target.path)
        refuse_worse(self.before, text, self.target.path, self.target.environ)
        return replace(self, text=text, ids=(*self.ids, *ids))


def agree(given: Given, target: Target, ask: Ask) -> Plan | None:
    """Come to a plan; None: it was declined. Who declines may answer anew, from the former answers.

    Raises ``ChangeRefused``, ``Missing``, ``CliTrouble``, ``EditRefused``, ``ConfigError``.
    """
    while (made := _agreed(given, target, ask)) is None and ask.person:
        if not ask.sure("Answer again (what you said is offered)", default=True, unasked=False):
            break
        ask.again()
    return made


def _agreed(given: Given, target: Target, ask: Ask) -> Plan | None:
    """One round of questions."""
    try:
        before: str | None = text_in(target.path)
    except FileNotFoundError:
        before = None
    refuse_closed(target.path)
    draft = _Draft(target, before, plan.begun(before))
    draft.tree  # noqa: B018 - a file that is not JSON5 is refused before the first question
    ask.say(f"Config: {target.path}{' (new)' if before is None else ''}")
    command = _cli(given, draft, ask)
    notes: Sequence[str] = ()
    if given.openclaw is not None:
        draft, notes = _from_openclaw(given, given.openclaw, draft, command, ask)
    else:
        ask.about("account 1")
        draft = _account(given, draft, command, ask)
        while ask.sure("Another account", default=False, unasked=False):
            ask.about(f"account {len(draft.ids) + 1}")
            draft = _account(Given(), draft, command, ask)
    for warning in _warnings(draft):
        ask.say(f"Warning: {warning}.")
    if given.check and not try_agents(target, draft.text, draft.ids, draft.secrets, ask):
        return None
    if not _shown_and_wanted(draft, ask):
        return None
    return Plan(before, draft.text, _unset(draft), notes)


def _warnings(draft: _Draft) -> Iterator[str]:
    """What will keep the new accounts from working, though they are written."""
    try:
        config = lenient(draft.text, draft.target)
    except ConfigError:
        return  # what is wrong with it was so before
    for account in config.accounts:
        if account.id in draft.ids and (warning := config.warning(account)):
            yield f"account {account.id}: {warning}"


def _unset(draft: _Draft) -> list[str]:
    """The variables that are to be set first. A host that runs has those that were named before."""
    path, environ = draft.target.path, draft.target.environ
    names = unset_variables(draft.text, path, environ)
    if draft.before is None or draft.target.host is None:
        return names
    known = unset_variables(draft.before, path, environ)
    return [name for name in names if name not in known]


def _cli(given: Given, draft: _Draft, ask: Ask) -> list[str]:
    """The Raft CLI: the flag's, the config's, the one that a person names."""
    command = list(given.command or plan.usual_command(draft.tree))
    while (found := located(command, draft.target.environ)) is None:
        where = "that can be started" if "/" in command[0] else "on the PATH"
        ask.say(f"There is no Raft CLI {command[0]!r} {where}. Install it in another terminal:"
                " npm i -g @botiverse/raft")  # fmt: skip
        command = [ask.text("Its whole path, or Enter to look again",
                            command[0] if ask.person else None, "--command CLI")]  # fmt: skip
    ask.say(f"Raft CLI: {found}")
    return command


def _account(given: Given, draft: _Draft, command: Sequence[str], ask: Ask) -> _Draft:
    tree, environ = draft.tree, draft.target.environ
    wanted: str | None = given.profile
    agent_id = None
    while agent_id is None:
        profile = wanted or ask_profile(ask, command, tree, environ)
        if given.token is not None and given.agent_id is not None:
            signed_in_by_flags(ask, command, profile, given.agent_id, given.server, given.token,
                               environ)  # fmt: skip
        agent_id = ask_whoami(ask, command, profile, given.agent_id, environ)
        wanted = None
    id_ = _id(given, tree, profile, ask)
    agent = given.agent
    while True:
        if agent is None:
            agent = ask_agent(ask, plan.kept_agent(tree, id_))
        entry = plan.Entry(id_, profile, agent_id, agent)
        try:
            return draft.edited(plan.edits(tree, [entry], command), id_)
        except ConfigError as error:
            if not ask.person:
                raise
            ask.say(f"That will not do:\n{error}")
            ask.again()
            agent = None


def _id(given: Given, tree: object, profile: str, ask: Ask) -> str:
    if holder := of_profile(tree, profile):
        ask.say(f"The profile {profile} is that of the account {holder}, which is kept.")
    proposed = holder or plan.proposed_id(profile)
    while True:
        id_ = given.account or holder or ask.text("Account id", proposed, "--account ID")
        try:
            plan.check_id(tree, id_, profile)
        except ChangeRefused as error:
            if not ask.person or given.account:
                raise
            ask.say(f"  {error}.")
        else:
            return id_


def _from_openclaw(
    given: Given, path: Path, draft: _Draft, command: Sequence[str], ask: Ask
) -> tuple[_Draft, Sequence[str]]:
    try:
        tree = parse(text_in(path), path)
        taken = take_over(tree)
    except FileNotFoundError:
        raise ChangeRefused(
            f"{path}: there is no such file; name it: --from-openclaw PATH"
        ) from None
    except ChangeRefused as error:
        raise ChangeRefused(f"{path}: {error}") from None
    ask.say(f"From {path}: accounts {', '.join(one.id for one in taken.accounts)};"
            f" Gateway {taken.agent['url']}")  # fmt: skip
    common = at(draft.tree, "turns").get("agent")
    if common is None:
        draft = replace(draft, text=edited(draft.text, [Set(("turns", "agent"), taken.agent)],
                                           draft.target.path))  # fmt: skip
    own = common is not None and not same(common, taken.agent)
    entries = []
    for one in taken.accounts:
        plan.check_id(draft.tree, one.id, one.profile)
        agent_id = ask_whoami(ask, command, _filled(one.profile, draft.target), None,
                              draft.target.environ, fixed=True)  # fmt: skip
        bound = {"agentId": one.agent} if one.agent else {}
        agent = {**taken.agent, **bound} if own else bound
        entries.append(plan.Entry(one.id, one.profile, agent_id, agent or None, one.more))
    edits = plan.edits(draft.tree, entries, command)
    if taken.default_account and "defaultAccount" not in at(draft.tree, *CHANNEL):
        edits.append(Set((*CHANNEL, "defaultAccount"), taken.default_account))
    draft = replace(draft, secrets=secret_in(tree, taken))
    return draft.edited(edits, *(one.id for one in entries)), _notes(path, taken, draft.target.path)


def _filled(profile: str, target: Target) -> str:
    """The profile that the CLI knows: OpenClaw's files may name a variable, as ours."""
    found = resolve(profile, target.environ, Location(str(target.path)), ErrorCollector())
    return profile if found is INVALID else str(found)


def _notes(path: Path, taken: TakenOver, config: Path) -> list[str]:
    notes = [f"Note: {note}" for note in taken.notes]
    if taken.literal:
        kept = plan.environment_file(config)
        notes.append(
            f"The Gateway's {'password' if 'password' in taken.agent else 'token'} stands in {path}"
            f" itself and was not copied. Write it as {taken.variable}=... into"
            f" {kept} (mode 0600), which a service reads; for this shell:\n"
            f"  set -a; . {shlex.quote(str(kept))}; set +a"
        )
    if taken.plugin_on:
        notes.append(
            "OpenClaw's own Raft plugin runs these profiles still, and two bridges of one profile"
            " lock each other out. Before you start raftsup:\n"
            "  openclaw plugins disable raft && openclaw gateway restart"
        )
    return notes


def _shown_and_wanted(draft: _Draft, ask: Ask) -> bool:
    """Show what is new in the file, and ask. What goes is only counted: it may be a key."""
    if not ask.person:
        return True
    added, gone = plan.difference(draft.before or "", draft.text)
    ask.say(f"\nTo be written to {draft.target.path}:")
    for line in added:
        ask.say(f"  | {line}")
    if gone:
        ask.say(f"  ({gone} lines go)")
    return ask.sure("Write it", default=True, unasked=True)
