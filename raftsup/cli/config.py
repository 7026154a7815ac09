"""``raftsup config``: is it good, what does it say, do its agents answer; what it may say."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_action, add_config, add_state_dir
from raftsup.cli.context import loader_of, state_of
from raftsup.cli.output import here, print_json
from raftsup.config import schema, variables
from raftsup.config.describe import describe
from raftsup.config.model import Account, Config
from raftsup.ops import live, raft_place
from raftsup.ops.checks import profiles
from raftsup.ops.checks.finding import Finding, Severity
from raftsup.proc import lockfile

EXAMPLES = "raftsup config check"
_WORDS = {Severity.GOOD: "good", Severity.WARNING: "note", Severity.BAD: "BAD "}


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_config(command)
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = add_action(
        actions, "check", "is it good; what it says, secrets masked", "raftsup config check --live"
    )
    add_config(check, argparse.SUPPRESS)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.add_argument("--live", action="store_true",
                       help="also ask whose each profile is, and try each agent, without a"
                       " model call")  # fmt: skip
    add_action(
        actions, "schema", "what may be in it, as JSON Schema for editors",
        "raftsup config schema > raftsup.schema.json",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "schema":
        print_json(schema.document())
        return exit_codes.OK
    return _check(arguments)


def _check(arguments: argparse.Namespace) -> int:
    config = loader_of(arguments)()
    tried: list[live.Tried] = []
    asked: list[Finding] = []
    if arguments.live:
        state = state_of(arguments)
        environ = raft_place.environment(state, os.environ)
        asked = list(profiles.of_config(config, lockfile.holder(state.lock) is not None, environ))
        tried = live.try_all(config, state, environ)
    if arguments.json:
        described = describe(config)
        if arguments.live:
            described["live"] = [asdict(one) for one in tried]
            described["profiles"] = [finding.document() for finding in asked]
        print_json(described)
    else:
        print(f"{config.path or 'no file, RAFT_PROFILE only'}: good")
        for account in config.accounts:
            print(f"  {account.id}: {_account(account)}")
            if warning := config.warning(account):
                print(f"    warning: {warning}")
        print(f"  at most {_turns(config)}")
        for told in variables.mistyped(os.environ):
            print(f"  warning: {told}")
        for line in _profiles(asked):
            print(here(line))
        if arguments.live and not tried:
            print("no agent was tried: no account runs")
        for one in tried:
            print(f"agent {one.kind}, for {', '.join(one.accounts)}:")
            for finding in one.findings:
                print(f"  {'good' if finding.good else 'BAD '}  {finding.text}")
    bad = any(a.enabled and a.problem for a in config.accounts)
    bad = bad or any(finding.severity is Severity.BAD for finding in asked)
    return exit_codes.NOT_READY if bad or not all(one.good for one in tried) else exit_codes.OK


def _profiles(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        yield "profiles:"
    for finding in findings:
        yield f"  {_WORDS[finding.severity]}  {finding.what}"
        if finding.fix:
            yield f"        fix: `{finding.fix}`"
        elif finding.advice:
            yield f"        fix: {finding.advice}"


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
