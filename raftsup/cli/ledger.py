"""``raftsup ledger``: verify, back up, list."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict

import orjson

from raftsup import exits
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.ledger import Ledger, LedgerError, LedgerUnavailable, open_ledger
from raftsup.turn import Turn


def run(arguments: argparse.Namespace) -> int:
    try:
        ledger = open_ledger(state_of(arguments).ledger, readonly=True)
    except (LedgerError, LedgerUnavailable) as error:
        return complain(str(error), exits.FAILED)
    try:
        match arguments.action:
            case "verify":
                return _verify(ledger)
            case "backup":
                ledger.backup(arguments.file)
                print(f"copied to {arguments.file}")
                return exits.OK
        return _turns(ledger, arguments)
    except (LedgerError, LedgerUnavailable) as error:
        return complain(str(error), exits.FAILED)
    finally:
        ledger.close()


def _verify(ledger: Ledger) -> int:
    contradictions = ledger.verify()
    for line in contradictions:
        print(line)
    if contradictions:
        return complain(f"{len(contradictions)} contradictions", exits.INCONSISTENT)
    print("the ledger is consistent")
    return exits.OK


def _turns(ledger: Ledger, arguments: argparse.Namespace) -> int:
    turns = ledger.recent(arguments.account, arguments.limit)
    if arguments.json:
        print(orjson.dumps([asdict(turn) for turn in turns]).decode())
        return exits.OK
    for turn in turns:
        print(_line(turn))
    return exits.OK


def _line(turn: Turn) -> str:
    owed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(turn.owed_at))
    took = f" in {turn.ended_at - turn.owed_at:.1f} s" if turn.ended_at else ""
    reason = f"  {turn.reason}" if turn.reason else ""
    return f"{turn.id}  {owed}  {turn.account}  {turn.state}{took}, attempt {turn.attempt}{reason}"
