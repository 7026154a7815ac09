"""``raftsup logs``: the logs of all programs as one."""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_json, add_state_dir
from raftsup.cli.context import account_id, state_of
from raftsup.cli.output import colour_wanted, complain
from raftsup.ops.logs import format, reader
from raftsup.ops.logs import record as logs_record
from raftsup.ops.logs.record import Record

#: Records shown where neither a number nor a span of time is asked for; before what follows.
_LAST, _LAST_BEFORE_NEW = 200, 20

EXAMPLES = """\
raftsup logs support --since 10m
raftsup logs --follow --level warning
raftsup logs --turn 17 --json | jq -r '[.time, .action] | @tsv'"""


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument("account", nargs="?", help="what is about this account alone")
    command.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    command.add_argument("--turn", type=int, metavar="N", help="a turn's way, from its wake on")
    command.add_argument("--since", metavar="WHEN",
                         help="not older than 10m, or than a time (2026-11-21T08:00Z)")  # fmt: skip
    command.add_argument("-n", "--lines", type=int, metavar="N",
                         help="the newest N records (default: 200; 20 before what follows; all"
                         " with --since or --turn)")  # fmt: skip
    command.add_argument("--level", default="debug", type=str.lower,
                         choices=("debug", "info", "warning", "error", "critical"),
                         help="not less grave than this")  # fmt: skip
    add_json(command, "one JSON object a record")


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    account = arguments.account and account_id(arguments.account)
    since = logs_record.since_of(arguments.since, time.time()) if arguments.since else ""
    if since is None:
        told = "write a duration like 10m, 2h or 1d, or a time like 2026-11-21T08:00Z"
        return complain(f"--since {arguments.since}: {told}", exit_codes.USAGE)
    if arguments.lines is not None and arguments.lines < 0:
        return complain(f"--lines {arguments.lines}: write how many, 0 or more", exit_codes.USAGE)
    known = reader.accounts(state)
    if account and account not in known:
        here = f"there are {', '.join(known)}" if known else "there are none yet"
        return complain(f"no account {account} in {state.root}; {here}", exit_codes.FAILED)
    wanted = logs_record.Wanted(account, arguments.turn, since, arguments.level.upper())
    shown = _as_json if arguments.json else _as_text
    try:
        if arguments.follow:
            reader.follow(state, wanted, _most(arguments), lambda r: _print(r, shown), _wait)
        else:
            found = reader.last(state, wanted, _most(arguments))
            _print(found, shown)
            if not found:
                print(f"no record in {state.root} is of what was asked for", file=sys.stderr)
    except BrokenPipeError:
        # The reader has seen enough; what is still in the buffer must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exit_codes.OK


def _most(arguments: argparse.Namespace) -> int | None:
    """How many of the records that are there; None: all that are asked for in another way."""
    if arguments.lines is not None:
        return int(arguments.lines)
    if arguments.since or arguments.turn is not None:
        return None
    return _LAST_BEFORE_NEW if arguments.follow else _LAST


def _print(records: Sequence[Record], shown: Callable[[Record], str]) -> None:
    for record in records:
        sys.stdout.write(shown(record))
    sys.stdout.flush()


def _as_json(record: Record) -> str:
    # Not orjson: a file's name in a field may be no Unicode, and the line is to move no terminal.
    return json.dumps(format.as_json(record)) + "\n"


def _as_text(record: Record) -> str:
    return format.as_text(record, colour=colour_wanted())


def _wait(seconds: float) -> bool:
    """Sleep; True, and at once, if nobody reads standard output any more."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(seconds * 1000))
