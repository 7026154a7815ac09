"""``raftsup account``: one account more, less, on or off; the others go on."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import Any

from raftsup import exit_codes, raft_home
from raftsup.cli.arguments import AGENT_HELP, add_action, add_changed_file, add_state_dir
from raftsup.cli.context import account_id, state_of
from raftsup.cli.output import here, print_json
from raftsup.ops import account, config_update, raft_place
from raftsup.paths import default_config_path

EXAMPLES = "raftsup account add sales --profile sales-agent"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_changed_file(command)
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = add_action(actions, "add", "write an account and start it on the running host",
                 "raftsup account add sales --profile sales-agent")  # fmt: skip
    new.add_argument("account", metavar="ID")
    new.add_argument("--profile", required=True, metavar="P", help="the Raft CLI's profile")
    new.add_argument("--agent-id", metavar="ID",
                     help="its agent id in Raft (default: asks `raft auth whoami`)")  # fmt: skip
    new.add_argument("--agent", metavar="JSON5", help=f"{AGENT_HELP}; default: turns.agent")
    new.add_argument("--name", dest="label", metavar="NAME", help="for people")
    new.add_argument("--lane", help="the lane of its turns (default: its own)")
    new.add_argument("--disabled", action="store_true", help="listed, but not run")
    for name, text in (
        ("remove", "stop an account and take it out of the config"),
        ("enable", "run an account again"),
        ("disable", "stop an account, but keep what is written of it"),
    ):
        one = add_action(actions, name, text, f"raftsup account {name} sales")
        one.add_argument("account", metavar="ID")
    for change in actions.choices.values():
        add_changed_file(change, argparse.SUPPRESS)
        change.add_argument("--no-reload", action="store_true",
                            help="do not tell the running host")  # fmt: skip
    listed = add_action(
        actions, "list", "what the config says of each", "raftsup account list --json"
    )
    add_changed_file(listed, argparse.SUPPRESS)
    listed.add_argument("--json", action="store_true", help="print one JSON array")


def run(arguments: argparse.Namespace) -> int:
    target = target_of(arguments)
    if arguments.action == "list":
        return _list(account.listed(target), arguments.json)
    id_ = account_id(arguments.account)
    if arguments.action == "add":
        say_where(target)
        # As it was typed: under an id that was made of it nobody would look for the account.
        edits = account.added(target, arguments.account.lower(), _values(arguments))
    elif arguments.action == "remove":
        edits = partial(account.removed, id_=id_, environ=os.environ)
    else:
        edits = partial(account.enabled, id_=id_, on=arguments.action == "enable")
    for line in account.change(target, edits, tell_host=not arguments.no_reload):
        print(here(line), flush=True)
    return exit_codes.OK


def target_of(arguments: argparse.Namespace) -> config_update.Target:
    chosen = arguments.config
    path = chosen.expanduser().absolute() if chosen else default_config_path(os.environ)
    state = state_of(arguments)
    return config_update.Target(path, state, raft_place.environment(state, os.environ))


def say_where(target: config_update.Target) -> None:
    """What there is to say of where profiles are looked for. Raises ``CliTrouble`` for a place that
    can be none.
    """
    raft_place.refuse_wrong(target.environ)
    if told := raft_place.difference(target.state, os.environ):
        print(f"Note: {told}; the host's is used.")
    if told := raft_home.missing(target.environ):
        print(f"Note: {told}.")


def _values(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "name": arguments.label,
        "profile": arguments.profile,
        "agentId": arguments.agent_id,
        "lane": arguments.lane,
        "enabled": False if arguments.disabled else None,
        "agent": account.agent_of(arguments.agent) if arguments.agent else None,
    }


def _list(accounts: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        print_json(accounts)
        return exit_codes.OK
    width = max((len(one["account"]) for one in accounts), default=0)
    for one in accounts:
        words = [f"profile {one['profile'] or '-'}", f"agent id {one['agentId'] or '-'}",
                 f"agent {one['agent'] or '-'}"]  # fmt: skip
        if one["lane"] != one["account"]:
            words.append(f"lane {one['lane']}")
        if one["problem"]:
            words.append(f"misconfigured: {one['problem']}")
        state = "enabled " if one["enabled"] else "disabled"
        print(f"{one['account']:<{width}}  {state}  {', '.join(words)}")
    return exit_codes.OK
