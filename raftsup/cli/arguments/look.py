"""Looking at the host, its turns, its ledger and its config."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from raftsup.cli.arguments.adder import Adder, action, config_arguments
from raftsup.cli.arguments.seconds import a_while


def add(add: Adder) -> None:
    status = add(
        "status", "status", "how every account is; exit code 0 only if all are ready",
        "raftsup status --probe\nraftsup status --watch 5\n"
        "raftsup status --json | jq '.accounts[].state'", config=True,
    )  # fmt: skip
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.add_argument("--probe", action="store_true",
                        help="try it all now: CLI, profile, bridge, a wake that owes no turn,"
                        " dispatcher, agent; exit code 0 only if all is well")  # fmt: skip
    status.add_argument("--timeout", type=a_while, default=10.0, metavar="SECONDS",
                        help="how long a step of --probe may take (default 10)")  # fmt: skip
    status.add_argument("--watch", type=a_while, nargs="?", const=2.0, metavar="SECONDS",
                        help="look again each SECONDS (default 2) until Ctrl-C; where output is no"
                        " terminal, print what changes, with --json a line each")  # fmt: skip
    status.add_argument("--deep", action="store_true",
                        help="also find other instances, services and orphans here")  # fmt: skip
    _turn(add("turn", "turn", "look at turns; end, repeat or start one",
              "raftsup turn run support"))  # fmt: skip
    _ledger(add("ledger", "ledger", "look after the ledger", "raftsup ledger verify"))
    _config(add("config", "config", "look at the config", "raftsup config check", config=True))


def _turn(command: Any) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    turns = action(
        actions, "list", "the latest turns, newest first", "raftsup turn list support --limit 5"
    )
    turns.add_argument("account", nargs="?")
    turns.add_argument("--limit", type=int, default=20, metavar="N", help="so many (default 20)")
    turns.add_argument("--json", action="store_true", help="print one JSON array")
    show = action(
        actions, "show", "all that is known of a turn", "raftsup turn show 17 --transcript"
    )
    show.add_argument("turn", type=int, metavar="TURN")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.add_argument("--transcript", action="store_true", help="print what its agent said")
    cancel = action(actions, "cancel", "end a queued or running turn", "raftsup turn cancel 17")
    cancel.add_argument("turn", type=int, metavar="TURN")
    retry = action(
        actions, "retry", "owe a failed, timed out or cancelled turn again", "raftsup turn retry 17"
    )
    retry.add_argument("turn", type=int, metavar="TURN")
    run = action(
        actions,
        "run",
        "start one without a wake: does the agent answer?",
        "raftsup turn run support",
    )
    run.add_argument("account")
    run.add_argument("--no-wait", action="store_true", help="do not wait for its end")


def _ledger(command: Any) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    action(
        actions,
        "verify",
        "check that the ledger does not contradict itself",
        "raftsup ledger verify",
    )
    backup = action(
        actions, "backup", "copy it, also while the host runs", "raftsup ledger backup ledger.copy"
    )
    backup.add_argument("file", type=Path, metavar="FILE")


def _config(command: Any) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = action(
        actions, "check", "is it good; what it says, secrets masked", "raftsup config check --live"
    )
    config_arguments(check, argparse.SUPPRESS)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.add_argument("--live", action="store_true",
                       help="also try each agent, without a model call")  # fmt: skip
