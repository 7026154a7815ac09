"""``raftsup turn``: look at turns, and end, repeat or start one by hand."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import orjson

from raftsup import exits
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.dispatcher import client
from raftsup.ledger import Ledger, LedgerError, LedgerUnavailable, open_ledger
from raftsup.ops import turns
from raftsup.paths import StateDir
from raftsup.turn import State


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    try:
        match arguments.action:
            case "cancel" | "retry":
                return _tell(arguments, state)
            case "run":
                return _run(arguments, state)
        ledger = open_ledger(state.ledger, readonly=True)
        try:
            return (_list if arguments.action == "list" else _show)(arguments, ledger, state)
        finally:
            ledger.close()
    except (LedgerError, LedgerUnavailable) as error:
        return complain(str(error), exits.FAILED)
    except client.DispatcherDown as error:
        return complain(f"no dispatcher answers: {error}; `raftsup status`", exits.NOT_RUNNING)
    except client.DispatcherRefused as error:
        return complain(str(error), exits.FAILED)


def _list(arguments: argparse.Namespace, ledger: Ledger, state: StateDir) -> int:
    account = arguments.account and arguments.account.lower()
    found = ledger.recent(account, arguments.limit)
    if arguments.json:
        print(orjson.dumps([asdict(turn) for turn in found]).decode())
        return exits.OK
    for turn in found:
        print(turns.line(turn))
    if not found:
        print(f"no turns{f' of account {account}' if account else ''} yet", file=sys.stderr)
    return exits.OK


def _show(arguments: argparse.Namespace, ledger: Ledger, state: StateDir) -> int:
    turn = ledger.get(arguments.turn)
    attempts = turns.transcripts(turn, state)
    if arguments.json:
        record = {**asdict(turn), "transcripts": attempts}
        print(orjson.dumps(record, option=orjson.OPT_INDENT_2).decode())
    elif arguments.transcript:
        for attempt in attempts:
            if len(attempts) > 1:
                print(f"== attempt {attempt['attempt']}", flush=True)
            sys.stdout.buffer.write(Path(attempt["path"]).read_bytes())
        sys.stdout.buffer.flush()
        if not attempts:
            print(f"turn {turn.id} has no transcript", file=sys.stderr)
    else:
        print(turns.page(turn, state), end="")
    return exits.OK


def _tell(arguments: argparse.Namespace, state: StateDir) -> int:
    client.request(state.dispatcher_socket, arguments.action, turn=arguments.turn)
    done = "is being cancelled" if arguments.action == "cancel" else "is owed again"
    print(f"turn {arguments.turn} {done}")
    return exits.OK


def _run(arguments: argparse.Namespace, state: StateDir) -> int:
    account = arguments.account.lower()
    turn = int(client.request(state.dispatcher_socket, "run", account=account)["turn"])
    if arguments.no_wait:
        print(f"turn {turn} of {account} is owed; `raftsup turn show {turn}`")
        return exits.OK
    ledger = open_ledger(state.ledger, readonly=True)
    try:
        for now, why in turns.follow(turn, ledger, state):
            attempt = f", attempt {now.attempt}" if now.attempt else ""
            held = why or now.reason
            print(f"turn {turn} of {account}: {now.state}{attempt}{f': {held}' if held else ''}",
                  flush=True)  # fmt: skip
    except KeyboardInterrupt:
        print(f"\nturn {turn} goes on; `raftsup turn cancel {turn}` ends it", file=sys.stderr)
        return 130
    finally:
        ledger.close()
    print(turns.page(now, state), end="")
    return exits.OK if now.state is State.DONE else exits.FAILED
