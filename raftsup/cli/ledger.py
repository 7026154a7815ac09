"""``raftsup ledger``: verify, back up."""

from __future__ import annotations

import argparse
from contextlib import closing

from raftsup import exit_codes
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.ledger import Ledger, LedgerError, open_ledger


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    try:
        with closing(open_ledger(state.ledger, readonly=True)) as ledger:
            if arguments.action == "verify":
                return _verify(ledger)
            ledger.backup(arguments.file)
    except LedgerError as error:
        return complain(str(error), exit_codes.FAILED)
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
