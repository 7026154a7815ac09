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
from raftsup.cli.output import complain, print_json
from raftsup.dispatcher import control_client
from raftsup.ledger import Ledger, open_ledger
from raftsup.ops import turns
from raftsup.ops.logs import reader
from raftsup.paths import StateDir
from raftsup.proc import lockfile
from raftsup.turn import ENDED, State, Turn

EXAMPLES = "raftsup turn run support"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    turns = add_action(
        actions, "list", "the latest turns, newest first", "raftsup turn list support --limit 5"
    )
    turns.add_argument("account", nargs="?")
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
    retry = add_action(
        actions, "retry", "owe a failed, timed out or cancelled turn again", "raftsup turn retry 17"
    )
    retry.add_argument("turn", type=int, metavar="TURN")
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
            case "cancel" | "retry":
                return _tell(arguments, state)
            case "run":
                return _run(arguments, state)
    except control_client.DispatcherDown as error:
        runs = lockfile.holder(state.lock) is not None
        what = "`raftsup status` tells why" if runs else "`raftsup up` starts a host"
        told = f"no dispatcher answers ({error}); {what}"
        return complain(told, error.exit_code)
    with closing(open_ledger(state.ledger, readonly=True)) as ledger:
        if arguments.action == "list":
            return _list(arguments, ledger, state)
        return _show(arguments, ledger, state)


def _known(state: StateDir, ledger: Ledger) -> list[str]:
    """Accounts that run, ran, or were ever owed a turn."""
    return sorted({*reader.accounts(state), *ledger.counts()})


def _list(arguments: argparse.Namespace, ledger: Ledger, state: StateDir) -> int:
    account = arguments.account and account_id(arguments.account)
    found = ledger.recent(account, arguments.limit)
    if account and not found and account not in (known := _known(state, ledger)):
        return complain(f"no account {account}; there are {', '.join(known) or 'none yet'}",
                        exit_codes.FAILED)  # fmt: skip
    if arguments.json:
        print_json([turns.as_json(turn) for turn in found])
        return exit_codes.OK
    for turn in found:
        print(turns.line(turn))
    if not found:
        print(f"no turns{f' of account {account}' if account else ''} yet", file=sys.stderr)
    return exit_codes.OK


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


def _tell(arguments: argparse.Namespace, state: StateDir) -> int:
    control_client.request(state.dispatcher_socket, arguments.action, turn=arguments.turn)
    if arguments.action == "retry":
        print(f"turn {arguments.turn} is owed again; `raftsup turn show {arguments.turn}`")
        return exit_codes.OK
    with closing(open_ledger(state.ledger, readonly=True)) as ledger:
        now = ledger.get(arguments.turn).state
    print(f"turn {arguments.turn} is {now if now in ENDED else 'being cancelled'}")
    return exit_codes.OK


def _run(arguments: argparse.Namespace, state: StateDir) -> int:
    account = account_id(arguments.account)
    turn = int(control_client.request(state.dispatcher_socket, "run", account=account)["turn"])
    if arguments.no_wait:
        print(f"turn {turn} of {account} is owed; `raftsup turn show {turn}`")
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
