"""``raftsup turn``: look at turns, and end, repeat or start one by hand."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_action, add_state_dir
from raftsup.cli.context import account_id, state_of
from raftsup.cli.output import complain, no_dispatcher, print_json
from raftsup.dispatcher import control_client
from raftsup.ledger import Ledger, open_ledger
from raftsup.ops import turns
from raftsup.ops.logs import reader
from raftsup.paths import StateDir
from raftsup.turn import ENDED, State, Turn

EXAMPLES = "raftsup turn run support"
_WAITING = "those that failed and were neither retried nor dismissed"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    turns = add_action(
        actions, "list", "the latest turns, newest first", "raftsup turn list support --limit 5"
    )
    turns.add_argument("account", nargs="?")
    turns.add_argument("--failed", action="store_true", help=f"only {_WAITING}")
    turns.add_argument("--limit", type=int, default=20, metavar="N", help="so many (default 20)")
    turns.add_argument("--json", action="store_true", help="print one JSON array")
    show = add_action(
        actions, "show", "all that is known of a turn", "raftsup turn show 17 --transcript"
    )
    show.add_argument("turn", type=int, metavar="TURN")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.add_argument("--transcript", action="store_true", help="print what its agent said")
    cancel = add_action(actions, "cancel", "end a queued or running turn", "raftsup turn cancel 17")
    cancel.add_argument("turn", type=int, metavar="TURN")
    for name, text in (
        ("retry", "requeue failed, timed out or cancelled turns"),
        ("dismiss", "let failed or timed out turns be: nobody waits for them"),
    ):
        again = add_action(
            actions, name, text, f"raftsup turn {name} 17\nraftsup turn {name} --failed support"
        )
        again.add_argument("turns", type=int, nargs="*", metavar="TURN")
        again.add_argument("--failed", metavar="ACCOUNT", help=f"of this account {_WAITING}")
    run = add_action(
        actions,
        "run",
        "start one without a wake: does the agent answer?",
        "raftsup turn run support",
    )
    run.add_argument("account")
    run.add_argument("--no-wait", action="store_true", help="do not wait for its end")


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    if arguments.action == "list" and arguments.limit < 1:
        return complain(f"--limit {arguments.limit}: write how many, 1 or more", exit_codes.USAGE)
    try:
        match arguments.action:
            case "cancel":
                return _cancel(arguments, state)
            case "retry" | "dismiss":
                return _again(arguments, state)
            case "run":
                return _run(arguments, state)
    except control_client.DispatcherDown as error:
        return no_dispatcher(state, error)
    with closing(open_ledger(state.ledger, readonly=True)) as ledger:
        if arguments.action == "list":
            return _list(arguments, ledger, state)
        return _show(arguments, ledger, state)


def _known(state: StateDir, ledger: Ledger) -> list[str]:
    """Accounts that run, ran, or were ever owed a turn."""
    return sorted({*reader.accounts(state), *ledger.counts()})


def _no_account(account: str, known: list[str]) -> int:
    there = ", ".join(known) or "none yet"
    return complain(f"no account {account}; there are {there}", exit_codes.FAILED)


def _list(arguments: argparse.Namespace, ledger: Ledger, state: StateDir) -> int:
    account = arguments.account and account_id(arguments.account)
    if arguments.failed:
        found = _unanswered(ledger, account)[-arguments.limit :][::-1]
    else:
        found = ledger.recent(account, arguments.limit)
    if account and not found and account not in (known := _known(state, ledger)):
        return _no_account(account, known)
    if arguments.json:
        print_json([turns.as_json(turn) for turn in found])
        return exit_codes.OK
    for turn in found:
        print(turns.line(turn))
    if not found:
        of_it = f" of account {account}" if account else ""
        print(f"no {'failed ' if arguments.failed else ''}turns{of_it} yet", file=sys.stderr)
    return exit_codes.OK


def _unanswered(ledger: Ledger, account: str | None) -> list[Turn]:
    """The failed turns that wait for somebody's word, oldest first."""
    latest = ledger.latest()
    found = [turn for name in latest if account in (None, name) for turn in latest[name].unanswered]
    return sorted(found, key=lambda turn: turn.id)


def _show(arguments: argparse.Namespace, ledger: Ledger, state: StateDir) -> int:
    turn = ledger.get(arguments.turn)
    attempts = turns.transcripts(turn, state)
    if arguments.json:
        print_json({**turns.as_json(turn), "transcripts": attempts})
    elif arguments.transcript:
        _print_transcripts([Path(attempt["path"]) for attempt in attempts])
        if not attempts:
            print(f"turn {turn.id} has no transcript: {_without(turn)}", file=sys.stderr)
    else:
        held = "" if turn.state in ENDED else turns.held_by(turn, state)
        print(turns.page(turn, state, held), end="")
    return exit_codes.OK


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


def _again(arguments: argparse.Namespace, state: StateDir) -> int:
    """Retry or dismiss: each for itself, so that one that cannot be costs no other."""
    turns, code = list(arguments.turns), exit_codes.OK
    if bool(turns) == bool(arguments.failed):
        arguments.parser.error("name turns, or an account with --failed")
    if arguments.failed:
        account = account_id(arguments.failed)
        with closing(open_ledger(state.ledger, readonly=True)) as ledger:
            turns = [turn.id for turn in _unanswered(ledger, account)]
            if not turns and account not in (known := _known(state, ledger)):
                return _no_account(account, known)
        if not turns:
            print(f"no failed turns of account {account} yet", file=sys.stderr)
    for turn in turns:
        try:
            control_client.request(state.dispatcher_socket, arguments.action, turn=turn)
        except control_client.DispatcherRefused as error:
            code = complain(str(error), error.exit_code)
            continue
        if arguments.action == "retry":
            print(f"turn {turn} is queued again; `raftsup turn show {turn}`")
        else:
            print(f"turn {turn} is dismissed; `raftsup turn retry {turn}` takes that back")
    return code


def _cancel(arguments: argparse.Namespace, state: StateDir) -> int:
    control_client.request(state.dispatcher_socket, "cancel", turn=arguments.turn)
    with closing(open_ledger(state.ledger, readonly=True)) as ledger:
        now = ledger.get(arguments.turn).state
    print(f"turn {arguments.turn} is {now if now in ENDED else 'being cancelled'}")
    return exit_codes.OK


def _run(arguments: argparse.Namespace, state: StateDir) -> int:
    account = account_id(arguments.account)
    turn = int(control_client.request(state.dispatcher_socket, "run", account=account)["turn"])
    if arguments.no_wait:
        print(f"turn {turn} of {account} is queued; `raftsup turn show {turn}`")
        return exit_codes.OK
    try:
        with closing(open_ledger(state.ledger, readonly=True)) as ledger:
            for now, why in turns.follow(turn, ledger, state):
                print(turns.progress(now, why), flush=True)
    except KeyboardInterrupt:
        print(f"\nturn {turn} goes on; `raftsup turn cancel {turn}` ends it", file=sys.stderr)
        return exit_codes.INTERRUPTED
    print(turns.page(now, state), end="")
    return exit_codes.OK if now.state is State.DONE else exit_codes.FAILED
