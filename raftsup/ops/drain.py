"""``raftsup drain``: the end of a host that waits for its running turns, watched from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from raftsup.dispatcher import control_client
from raftsup.dispatcher import status as dispatcher_status
from raftsup.dispatcher.status import RunningTurn
from raftsup.ledger import LedgerError, open_ledger
from raftsup.ops import rpc
from raftsup.paths import StateDir
from raftsup.proc import lockfile
from raftsup.turn import ENDED

_POLL_S = 0.1
#: Seconds between two words to a person who waits for the same turns.
_PROGRESS_EVERY_S = 5.0


@dataclass
class Drained:
    """How it ended. Turns by number."""

    pid: int
    finished: list[int] = field(default_factory=list)
    #: Ran when the time was over: owed again, or going on where they run (a Gateway).
    unfinished: list[int] = field(default_factory=list)


def drain(state: StateDir, timeout: float | None, tell: Callable[[str], None]) -> Drained | None:
    """Drain the host and wait for its end; None if none runs.

    ``timeout``: seconds after which the turns that still run are interrupted. ``tell`` gets a
    line about those that are waited for. Raises ``rpc.ParentDown`` and ``rpc.ParentRefused``.
    """
    pid = lockfile.holder(state.lock)
    if not pid:
        return None
    seen = {turn["turn"] for turn in _running(state)}
    rpc.call(state, "drain", -1.0 if timeout is None else float(timeout))
    told, told_of = 0.0, None
    while lockfile.holder(state.lock) == pid:
        turns = _running(state)
        numbers = {turn["turn"] for turn in turns}
        seen |= numbers
        now = time.monotonic()
        if turns and (numbers != told_of or now - told > _PROGRESS_EVERY_S):
            told, told_of = now, numbers
            tell(_words(turns, time.time()))
        time.sleep(_POLL_S)
    ended = _ended(state, seen)
    return Drained(pid, sorted(ended), sorted(seen - ended))


def _running(state: StateDir) -> list[RunningTurn]:
    try:
        return dispatcher_status.ask(state.dispatcher_socket)["running"]
    except (control_client.DispatcherDown, control_client.DispatcherRefused):
        return []


def _words(turns: list[RunningTurn], now: float) -> str:
    each = (f"{t['turn']} of {t['account']} ({now - (t['startedAt'] or now):.0f} s)" for t in turns)
    return f"waiting for {len(turns)} running: turn {', '.join(each)}"


def _ended(state: StateDir, turns: set[int]) -> set[int]:
    """Which of these turns have ended, by the ledger. One that was swept away has."""
    if not turns:
        return set()
    try:
        with closing(open_ledger(state.ledger, readonly=True)) as ledger:
            return {turn for turn in turns if ledger.get(turn).state in ENDED}
    except LedgerError:
        return set()
