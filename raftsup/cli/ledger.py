"""``raftsup ledger``: verify, back up."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_action, add_state_dir
from raftsup.cli.context import state_of
from raftsup.cli.output import complain
from raftsup.ledger import Ledger, open_ledger

EXAMPLES = "raftsup ledger verify"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_action(
        actions,
        "verify",
        "check that the ledger does not contradict itself",
        "raftsup ledger verify",
    )
    backup = add_action(
        actions, "backup", "copy it, also while the host runs", "raftsup ledger backup ledger.copy"
    )
    backup.add_argument("file", type=Path, metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    with closing(open_ledger(state.ledger, readonly=True)) as ledger:
        if arguments.action == "verify":
            return _verify(ledger)
        ledger.backup(arguments.file)
    print(f"copied to {arguments.file}")
    return exit_codes.OK


def _verify(ledger: Ledger) -> int:
    contradictions = ledger.verify()
    for line in contradictions:
        print(line)
    if contradictions:
        return complain(f"{len(contradictions)} contradictions", exit_codes.INCONSISTENT)
    print("the ledger is consistent")
    return exit_codes.OK
