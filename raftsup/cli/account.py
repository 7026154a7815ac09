"""``raftsup account``: one account more, less, on or off; the others go on."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import Any

from raftsup import exit_codes
from raftsup.cli.context import account_id, state_of
from raftsup.cli.main import complain
from raftsup.cli.output import here, print_json
from raftsup.config.json5.edit import EditRefused
from raftsup.ops import account, config_update
from raftsup.ops.accounts import ChangeRefused
from raftsup.ops.raft_cli import CliTrouble
from raftsup.paths import default_config_path


def run(arguments: argparse.Namespace) -> int:
    target = target_of(arguments)
    if arguments.action == "list":
        return _list(account.listed(target), arguments.json)
    id_ = account_id(arguments.account)
    try:
        if arguments.action == "add":
            # As it was typed: under an id that was made of it nobody would look for the account.
            edits = account.added(target, arguments.account.lower(), _values(arguments))
        elif arguments.action == "remove":
            edits = partial(account.removed, id_=id_, environ=os.environ)
        else:
            edits = partial(account.enabled, id_=id_, on=arguments.action == "enable")
        for line in account.change(target, edits, tell_host=not arguments.no_reload):
            print(here(line), flush=True)
    except (ChangeRefused, EditRefused, CliTrouble, config_update.Refused) as error:
        return complain(str(error), exit_codes.FAILED)
    return exit_codes.OK


def target_of(arguments: argparse.Namespace) -> config_update.Target:
    chosen = arguments.config
    path = chosen.expanduser().absolute() if chosen else default_config_path(os.environ)
    return config_update.Target(path, state_of(arguments), os.environ)


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
