"""The ledger and what can be read in it: is it sound, has it room, does the clock run forward."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from raftsup.ledger import Ledger, LedgerError, LedgerUnavailable, open_ledger
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, fail, good, warning
from raftsup.paths import StateDir
from raftsup.turn import ENDED, State, Turn

#: Share of the map from which on it is told.
_FILLING = 0.7
#: Seconds that a clock may be corrected by without a word, and without harm.
_CORRECTED, _HARMLESS = 5.0, 60.0
#: Seconds that a turn may wait for its lane before that is told.
_LONG = 600.0
_RECENT = 200
#: So many failed turns are named.
_NAMED = 5

# One process opens an LMDB environment once at a time.
_ONE = threading.Lock()


@contextlib.contextmanager
def _opened(scene: Scene) -> Iterator[Ledger | None]:
    """The ledger, to read; None if there is none yet, or its folder is closed to this user."""
    if not scene.ours or not _enterable(scene.state) or not _file(scene.state).exists():
        yield None
        return
    size = scene.config.ledger.map_size if scene.config else 1 << 30
    with _ONE, contextlib.closing(open_ledger(scene.state.ledger, size, readonly=True)) as ledger:
        yield ledger


def ledger(scene: Scene) -> Iterator[Finding]:
    try:
        with _opened(scene) as opened:
            if opened is None:
                if _enterable(scene.state):
                    yield good("there is no ledger yet; the first `raftsup up` makes it")
                return
            contradictions = opened.verify()
            used, size = opened.fill()
            full = opened.full()
    except LedgerError as error:
        yield unusable(scene.state.ledger, str(error), bool(scene.pid))
        return
    if contradictions:
        yield fail(f"the ledger contradicts itself {len(contradictions)} times, first:"
                  f" {contradictions[0]}", "turns may be lost or never start",
                  set_aside(scene.state.ledger, bool(scene.pid)), advice="keep the old one, and"
                  " report what `raftsup ledger verify` prints of it")  # fmt: skip
    else:
        yield good(f"{scene.state.ledger} is consistent")
    yield judge_fill(used, size, full)


def _file(state: StateDir) -> Path:
    return state.ledger / "data.mdb"


def _enterable(state: StateDir) -> bool:
    """Whether the ledger's folder can be looked into, or is not there yet: else that is told by
    the check of the folder.
    """
    return os.access(state.ledger, os.R_OK | os.X_OK) or not os.path.lexists(state.ledger)


def unusable(folder: Path, why: str, running: bool) -> Finding:
    return fail(why, "no wake can be accepted and no turn started", set_aside(folder, running),
               advice="that begins a new ledger: Raft sends again what no agent has read; turns"
               " that were owed stay in the old one")  # fmt: skip


def set_aside(folder: Path, running: bool) -> str:
    """A command that puts a ledger out of the way. ``running``: of a host that runs."""
    aside = f"mv {shlex.quote(str(folder))} {shlex.quote(str(folder))}.old"
    return f"raftsup stop && {aside} && raftsup start" if running else aside


def judge_fill(used: int, size: int, full: bool = False) -> Finding:
    """``used`` and ``size``: bytes that hold something, and that it may grow to; ``full``: what is
    left is reserved for queued turns.
    """
    share = used / size
    shown = f"the ledger is {share:.0%} full ({used:,} of {size:,} bytes)"
    advice = "raise ledger.mapSize in the config, then `raftsup restart`; or keep less (turns.keep)"
    if full:
        return fail(
            shown, "new wakes are refused until turns end and are swept away", advice=advice
        )
    if share >= _FILLING:
        return warning(shown, "when it is full new wakes are refused", advice=advice)
    return good(shown)


def clock(scene: Scene) -> Iterator[Finding]:
    with contextlib.suppress(LedgerError, LedgerUnavailable), _opened(scene) as opened:
        if opened is not None:
            turns = opened.recent(limit=_RECENT)
            newest = max((max(t.owed_at, t.started_at, t.ended_at) for t in turns), default=0.0)
            # What was written meanwhile is no news from the future.
            yield judge_clock(newest, max(scene.now, time.time()))


def judge_clock(newest: float, now: float) -> Finding:
    """``newest``: the latest time in the ledger, Unix seconds."""
    ahead = newest - now
    if ahead <= _CORRECTED:
        return good("the clock is not behind the ledger")
    say = warning if ahead <= _HARMLESS else fail
    return say(f"the clock is {ahead:.0f} s behind the newest time in the ledger: it was set back",
               "wakes are remembered, turns kept and lanes paused for that much longer",
               "sudo sntp -sS time.apple.com" if sys.platform == "darwin" else
               "sudo timedatectl set-ntp true")  # fmt: skip


def turns(scene: Scene) -> Iterator[Finding]:
    try:
        with _opened(scene) as opened:
            recent = opened.recent(limit=_RECENT) if opened else []
            counts = opened.counts() if opened else {}
            latest = opened.latest() if opened else {}
    except LedgerError:
        return  # told by the ledger's own check
    newest: dict[str, Turn] = {}
    for turn in recent:
        newest.setdefault(turn.account, turn)
    for account in scene.accounts:
        failed = latest[account.id].unanswered if account.id in latest else ()
        if failed:
            yield judge_failed(failed)
        last = newest.get(account.id)
        if last is not None and last not in failed:
            yield judge_turn(last, scene.now, bool(scene.pid))
    if scene.config is None:
        return
    known = {account.id for account in scene.config.accounts}
    for name, count in sorted(counts.items()):
        if name not in known and (owed := count.queued + count.running):
            yield warning(f"{owed} turns are queued for account {name}, no longer in the config",
                          "their wakes are not answered", f"raftsup turn list {name}",
                          advice="`raftsup turn cancel` ends one; they are run if the account"
                          " comes back")  # fmt: skip


def judge_failed(failed: Sequence[Turn]) -> Finding:
    """The turns of an account that failed, and that nobody retried or dismissed."""
    last = failed[-1]
    numbers = ", ".join(str(turn.id) for turn in failed[-_NAMED:])
    which = str(last.id) if len(failed) == 1 else f"--failed {last.account}"
    what = f"turn {numbers}" if len(failed) == 1 else f"{len(failed)} turns (of late {numbers})"
    return fail(f"account {last.account}: {what} failed: {last.reason}",
               "nobody has answered: Raft does not wake again for what an agent has read",
               f"raftsup turn retry {which}", advice=f"`raftsup turn show {last.id} --transcript`:"
               " what its agent said, if it began to; `raftsup turn dismiss"
               f" {which}` if nobody waits any more")  # fmt: skip


def judge_turn(turn: Turn, now: float, running: bool) -> Finding:
    """The latest turn of an account. ``running``: a host runs that could start it."""
    who = f"account {turn.account}: its latest turn, {turn.id},"
    if turn.state in (State.FAILED, State.TIMED_OUT):
        return warning(f"{who} {turn.state}: {turn.reason}", "its wake was not answered",
                       f"raftsup turn retry {turn.id}", advice="first see `raftsup turn show"
                       f" {turn.id} --transcript`: what its agent said")  # fmt: skip
    if turn.state not in ENDED and not running:
        what = "was cut off" if turn.state is State.RUNNING else "waits"
        return warning(f"{who} {what}: no host runs", "its wake is not answered until one does",
                       "raftsup up")  # fmt: skip
    if turn.state is State.QUEUED and now - turn.owed_at > _LONG:
        return warning(f"{who} has waited for {now - turn.owed_at:.0f} s", turn.reason or
                       "something keeps its lane", f"raftsup turn show {turn.id}")  # fmt: skip
    if turn.state is State.DONE:
        return good(f"{who} is done; whether its agent sent a reply, only Raft knows (`raftsup turn"
                    f" show {turn.id} --transcript`: what it said instead)")  # fmt: skip
    return good(f"{who} is {turn.state}")
