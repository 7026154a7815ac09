"""``raftsup ledger``: verify, back up, list."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict

import orjson

from raftsup import exits
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.ledger import Ledger, LedgerError, LedgerUnavailable, open_ledger
from raftsup.paths import StateDir
from raftsup.turn import ENDED, State, Turn


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    try:
        ledger = open_ledger(state.ledger, readonly=True)
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
        return _turns(ledger, arguments, state)
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


def _turns(ledger: Ledger, arguments: argparse.Namespace, state: StateDir) -> int:
    account = arguments.account and arguments.account.lower()
    turns = ledger.recent(account, arguments.limit)
    if arguments.json:
        print(orjson.dumps([asdict(turn) for turn in turns]).decode())
        return exits.OK
    for turn in turns:
        print(_line(turn, state))
    if not turns:
        print(f"no turns{f' of account {account}' if account else ''} yet", file=sys.stderr)
    return exits.OK


def _line(turn: Turn, state: StateDir) -> str:
    owed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(turn.owed_at))
    words = [f"{turn.id}  {owed}  {turn.account}  {turn.state}"]
    if turn.state in ENDED:
        words.append(f"{turn.ended_at - turn.owed_at:.1f} s after its wake")
        if turn.started_at:
            words.append(f"ran {turn.ended_at - turn.started_at:.1f} s")
    words.append(f"attempt {turn.attempt}")
    if turn.reason:
        words.append(turn.reason)
    if turn.state in (State.FAILED, State.TIMED_OUT):
        words.append(f"see {state.transcript(turn.id, turn.attempt)}")
    return ", ".join(words)
