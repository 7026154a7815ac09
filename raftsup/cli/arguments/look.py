"""Looking at the host, its turns, its ledger and its config."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from raftsup.cli.arguments.adder import Adder, config_arguments


def add(add: Adder) -> None:
    status = add(
        "status", "status", "how every account is; exit code 0 only if all are ready",
        "raftsup status --json | jq '.accounts[].state'", config=True,
    )  # fmt: skip
    status.add_argument("--json", action="store_true", help="print one JSON object")
    _turn(add("turn", "turn", "look at turns; end, repeat or start one",
              "raftsup turn run support"))  # fmt: skip
    _ledger(add("ledger", "ledger", "look after the ledger", "raftsup ledger verify"))
    _config(add("config", "config", "look at the config", "raftsup config check", config=True))


def _turn(command: Any) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    turns = actions.add_parser("list", help="the latest turns, newest first")
    turns.add_argument("account", nargs="?")
    turns.add_argument("--limit", type=int, default=20, metavar="N", help="so many (default 20)")
    turns.add_argument("--json", action="store_true", help="print one JSON array")
    show = actions.add_parser("show", help="all that is known of a turn")
    show.add_argument("turn", type=int, metavar="TURN")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.add_argument("--transcript", action="store_true", help="print what its agent said")
    cancel = actions.add_parser("cancel", help="end a queued or running turn")
    cancel.add_argument("turn", type=int, metavar="TURN")
    retry = actions.add_parser("retry", help="owe a failed, timed out or cancelled turn again")
    retry.add_argument("turn", type=int, metavar="TURN")
    run = actions.add_parser("run", help="start one without a wake: does the agent answer?")
    run.add_argument("account")
    run.add_argument("--no-wait", action="store_true", help="do not wait for its end")


def _ledger(command: Any) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("verify", help="check that the ledger does not contradict itself")
    backup = actions.add_parser("backup", help="copy it, also while the host runs")
    backup.add_argument("file", type=Path, metavar="FILE")


def _config(command: Any) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="is it good; what it says, secrets masked")
    config_arguments(check, argparse.SUPPRESS)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.add_argument("--live", action="store_true",
                       help="also try each agent, without a model call")  # fmt: skip
