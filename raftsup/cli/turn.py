"""``raftsup turn``: look at turns, and end, repeat or start one by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from raftsup import exits
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.dispatcher import client
from raftsup.ledger import Ledger, LedgerError, LedgerUnavailable, open_ledger
from raftsup.ops import follow, turns
from raftsup.paths import StateDir
from raftsup.turn import ENDED, State, Turn


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    if arguments.action == "list" and arguments.limit < 1:
        return complain(f"--limit {arguments.limit}: write how many, 1 or more", exits.USAGE)
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
        told = f"no dispatcher answers ({error}); `raftsup up` starts a host"
        return complain(told, exits.NOT_RUNNING)
    except client.DispatcherRefused as error:
        return complain(str(error), exits.FAILED)


def _list(arguments: argparse.Namespace, ledger: Ledger, state: StateDir) -> int:
    account = arguments.account and arguments.account.lower()
    found = ledger.recent(account, arguments.limit)
    if arguments.json:
        print(orjson.dumps([turns.as_json(turn) for turn in found]).decode())
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
        record = {**turns.as_json(turn), "transcripts": attempts}
        print(orjson.dumps(record, option=orjson.OPT_INDENT_2).decode())
    elif arguments.transcript:
        _print_transcripts([Path(attempt["path"]) for attempt in attempts])
        if not attempts:
            print(f"turn {turn.id} has no transcript: {_without(turn)}", file=sys.stderr)
    else:
        waits = turn.state is State.QUEUED
        print(turns.page(turn, state, follow.held_by(turn, state) if waits else ""), end="")
    return exits.OK


def _print_transcripts(paths: list[Path]) -> None:
    """All that the attempts' agents said, as it is; in a terminal, harmless to it."""
    out, in_terminal = sys.stdout.buffer, sys.stdout.isatty()
    for path in paths:
        said = path.read_bytes()
        if in_terminal:
            said = turns.for_terminal(said)
        if len(paths) > 1:
            out.write(f"== attempt {path.suffixes[0][1:]}\n".encode())
        if said and not said.endswith(b"\n") and (in_terminal or len(paths) > 1):
            said += b"\n"
        out.write(said)
    out.flush()


def _without(turn: Turn) -> str:
    return "its attempts left none" if turn.attempt else "no attempt was begun"


def _tell(arguments: argparse.Namespace, state: StateDir) -> int:
    client.request(state.dispatcher_socket, arguments.action, turn=arguments.turn)
    if arguments.action == "retry":
        print(f"turn {arguments.turn} is owed again; `raftsup turn show {arguments.turn}`")
        return exits.OK
    ledger = open_ledger(state.ledger, readonly=True)
    try:
        now = ledger.get(arguments.turn).state
    finally:
        ledger.close()
    print(f"turn {arguments.turn} is {now if now in ENDED else 'being cancelled'}")
    return exits.OK


def _run(arguments: argparse.Namespace, state: StateDir) -> int:
    account = arguments.account.lower()
    turn = int(client.request(state.dispatcher_socket, "run", account=account)["turn"])
    if arguments.no_wait:
        print(f"turn {turn} of {account} is owed; `raftsup turn show {turn}`")
        return exits.OK
    ledger = open_ledger(state.ledger, readonly=True)
    try:
        for now, why in follow.follow(turn, ledger, state):
            print(turns.progress(now, why), flush=True)
    except KeyboardInterrupt:
        print(f"\nturn {turn} goes on; `raftsup turn cancel {turn}` ends it", file=sys.stderr)
        return 130
    finally:
        ledger.close()
    print(turns.page(now, state), end="")
    return exits.OK if now.state is State.DONE else exits.FAILED
