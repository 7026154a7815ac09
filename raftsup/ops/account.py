"""``raftsup account``: what is asked, what is refused, and the change itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raftsup.config.errors import ConfigError
from raftsup.config.json5.edit import Edit, EditRefused, edited
from raftsup.config.load import load
from raftsup.config.model import Account, Config
from raftsup.config.reader import parse, text_in, unset_variable
from raftsup.ops import accounts
from raftsup.ops.accounts import ChangeRefused
from raftsup.ops.config_update import Target, lenient
from raftsup.ops.config_update import change as apply_change
from raftsup.ops.setup.plan import begun, usual_command
from raftsup.ops.setup.prompts import Unasked
from raftsup.ops.setup.raft import ask_whoami

EditsOf = Callable[[object], Sequence[Edit]]


def change(target: Target, edits_of: EditsOf, *, tell_host: bool = True) -> Iterator[str]:
    """Apply the edits that ``edits_of`` makes of the file's tree; a line for each thing done.

    Raises ``ChangeRefused``, ``EditRefused``, ``ConfigError`` and ``apply.Refused``.
    """

    def of_text(text: str | None) -> str:
        text = begun(text)
        changed = edited(text, edits_of(parse(text, target.path)), target.path)
        _refuse_half_an_account(text, changed, target)
        return changed

    yield from apply_change(target, of_text, tell_host=tell_host)


def added(target: Target, id_: str, values: dict[str, Any]) -> EditsOf:
    """The edits of a new account. Asks the Raft CLI whose its profile is, as setup does.

    Raises ``ChangeRefused``, ``CliTrouble``, ``ConfigError``.
    """
    try:
        tree = parse(begun(text_in(target.path)), target.path)
    except FileNotFoundError:
        tree = {}
    accounts.add(tree, id_, values)  # refuses before the CLI is asked, which takes a second
    values["agentId"] = ask_whoami(
        Unasked(), usual_command(tree), values["profile"], values["agentId"], target.environ
    )
    return lambda tree: accounts.add(tree, id_, values)


def removed(tree: object, id_: str, environ: Mapping[str, str]) -> Sequence[Edit]:
    """Raises ``ChangeRefused`` where there is no such account, or no other one."""
    edits = accounts.remove(tree, id_)
    if accounts.ids(tree) == [id_] and not environ.get("RAFT_PROFILE", "").strip():
        raise ChangeRefused(
            f"{id_} is the only account, and a host needs one: `raftsup account disable {id_}`"
            " stops it; to replace it, add the other one first"
        )
    return edits


def enabled(tree: object, id_: str, on: bool) -> Sequence[Edit]:
    return accounts.enable(tree, id_, on)


def agent_of(text: str) -> dict[str, Any]:
    """The agent on the command line, as JSON5. Raises ``ConfigError`` and ``ChangeRefused``."""
    agent = parse(text, Path("--agent"))
    if not isinstance(agent, dict):
        raise ChangeRefused(
            '--agent: write an object like { kind: "command", command: ["claude", "-p"] }'
        )
    return dict(agent)


def listed(target: Target) -> list[dict[str, Any]]:
    """What the config says of each account. Raises ``ConfigError``."""
    try:
        config = load(target.path, target.environ)
    except ConfigError as error:
        if any(unset_variable(problem) is None for problem in error.problems):
            raise
        # The host has these variables, or will have: who the accounts are can be told without.
        config = lenient(text_in(target.path), target)
    return [
        {
            "account": account.id,
            "enabled": account.enabled,
            "profile": account.profile,
            "agentId": account.agent_id,
            "agent": account.agent.kind if account.agent else None,
            "lane": account.lane,
            "name": account.name,
            "problem": account.problem,
        }
        for account in config.accounts
    ]


def _refuse_half_an_account(before: str, after: str, target: Target) -> None:
    """An account that could never run, or would take another's wakes, is a change for the worse,
    though the config is good.
    """
    try:
        config = lenient(before, target)
        old = {account.id: _trouble(account, config) for account in config.accounts}
    except ConfigError:
        old = {}
    try:
        config = lenient(after, target)
    except ConfigError:
        return  # told by who checks the whole
    for account in sorted(config.accounts, key=lambda account: account.id in old):
        trouble = _trouble(account, config)
        if trouble and not old.get(account.id):
            raise EditRefused(trouble)


def _trouble(account: Account, config: Config) -> str | None:
    shared = config.warning(account) if account.agent_id else None
    return account.problem or (f"account {account.id}: {shared}" if shared else None)
