"""``raftsup config``: is it good, what does it say, do its agents answer; what it may say."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_action, add_config, add_state_dir
from raftsup.cli.context import loader_of, loader_within, state_of
from raftsup.cli.output import here, print_json
from raftsup.config import schema, variables
from raftsup.config.describe import describe
from raftsup.config.model import Account, Config
from raftsup.ops.checks import registry
from raftsup.ops.checks.context import look_around
from raftsup.ops.checks.finding import WORDS, Finding, Severity

EXAMPLES = "raftsup config check"
#: Its kind, and the accounts whose turns it takes.
_Agent = tuple[str, tuple[str, ...]]


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
    found = _live(arguments) if arguments.live else {}
    agents = found.pop("agents", ())
    others = [finding for findings in found.values() for finding in findings]
    if arguments.json:
        described = describe(config)
        if arguments.live:
            described["live"] = [
                {"kind": kind, "accounts": accounts, "findings": [
                    {key: finding.facts[key] for key in ("good", "text")} for finding in those
                ]}
                for (kind, accounts), those in _by_agent(agents)
            ]  # fmt: skip
            described["profiles"] = [finding.document() for finding in found["profiles"]]
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
        for line in _profiles(others):
            print(here(line))
        if arguments.live and not agents:
            print("no agent was tried: no account runs")
        for (kind, accounts), those in _by_agent(agents):
            print(f"agent {kind}, for {', '.join(accounts)}:")
            for finding in those:
                print(f"  {WORDS[finding.severity]}  {finding.facts['text']}")
    bad = any(a.enabled and a.problem for a in config.accounts)
    bad = bad or any(finding.severity is Severity.FAIL for finding in (*others, *agents))
    return exit_codes.NOT_READY if bad else exit_codes.OK


def _live(arguments: argparse.Namespace) -> dict[str, tuple[Finding, ...]]:
    """By check, what was found of the CLI, the profiles and the agents."""
    state = state_of(arguments)
    state.prepare()  # where a Gateway is to know this host, its identity is made
    scene = replace(look_around(state, os.environ, loader_within(arguments)), tries_all=True)
    examined = registry.examine(scene, registry.due(scene, registry.Use.LIVE))
    return {one.check.name: one.findings for one in examined}


def _by_agent(findings: Iterable[Finding]) -> list[tuple[_Agent, list[Finding]]]:
    those: dict[_Agent, list[Finding]] = {}
    for finding in findings:
        if finding.facts:
            those.setdefault((finding.facts["kind"], finding.accounts), []).append(finding)
    return list(those.items())


def _profiles(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        yield "the Raft CLI and its profiles:"
    for finding in findings:
        yield f"  {WORDS[finding.severity]}  {finding.what}"
        if finding.fix or finding.advice:
            yield f"        fix: {f'`{finding.fix}`' if finding.fix else finding.advice}"


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
