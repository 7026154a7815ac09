"""``raftsup config check``: is the config good, and what does it say."""

from __future__ import annotations

import argparse

import orjson

from raftsup import exits
from raftsup.cli.context import loader_of
from raftsup.config.describe import describe
from raftsup.config.model import Account, Config


def run(arguments: argparse.Namespace) -> int:
    config = loader_of(arguments)()
    if arguments.json:
        print(orjson.dumps(describe(config), option=orjson.OPT_INDENT_2).decode())
    else:
        print(f"{config.path or 'no file, RAFT_PROFILE only'}: good")
        for account in config.accounts:
            print(f"  {account.id}: {_account(account)}")
        print(f"  at most {_turns(config)}")
    return exits.NOT_READY if any(a.enabled and a.problem for a in config.accounts) else exits.OK


def _account(account: Account) -> str:
    if not account.enabled:
        return "disabled"
    if account.problem is not None:
        return f"misconfigured: {account.problem}"
    lane = "" if account.lane == account.id else f", lane {account.lane}"
    agent = account.agent.kind if account.agent else "none"
    return f"profile {account.profile}, agent {agent}{lane}"


def _turns(config: Config) -> str:
    turns = config.turns
    return (
        f"{turns.concurrency} turns at once, each at most {turns.timeout:g} s,"
        f" {turns.attempts} attempts"
    )
