"""Turns, for people: a line each, or one whole; waiting for one's end, and what holds it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from raftsup.dispatcher import control_client
from raftsup.dispatcher import status as dispatcher_status
from raftsup.dispatcher.scheduler import ALL
from raftsup.dispatcher.status import DispatcherStatus
from raftsup.ledger import Ledger, LedgerUnavailable
from raftsup.paths import StateDir
from raftsup.terminal import escaped, moment
from raftsup.turn import ENDED, State, Turn

#: Seconds between looks at a turn that is waited for.
POLL_S = 0.1
#: Seconds that a turn may stay as it is before the dispatcher is asked, and again after that.
_ASK_EVERY_S = 1.0


def as_json(turn: Turn) -> dict[str, Any]:
    """A turn in the words of ``status --json``; times in Unix seconds, None for what was not."""
    return {
        "turn": turn.id,
        "account": turn.account,
        "state": turn.state,
        "source": turn.source,
        "attempt": turn.attempt,
        "failures": turn.failures,
        "interruptions": turn.interruptions,
        "owedAt": turn.owed_at,
        "startedAt": turn.started_at or None,
        "endedAt": turn.ended_at or None,
        "reason": turn.reason,
        "handle": turn.handle,
    }


def line(turn: Turn) -> str:
    """A turn in one line."""
    words = [f"{turn.id}  {_when(turn.owed_at)}  {turn.account}  {turn.state}"]
    if turn.source != "wake":
        words.append(f"asked for by an {turn.source}")
    if turn.state in ENDED:
        words.append(f"{turn.ended_at - turn.owed_at:.1f} s after it was owed")
    words.append(_attempt(turn))
    if turn.reason:
        words.append(turn.reason if turn.state in ENDED else f"earlier: {turn.reason}")
    return ", ".join(words)


def unanswered(failed: Sequence[Turn]) -> str:
    """What to tell of an account's failed turns that nobody has retried or dismissed yet."""
    last = failed[-1]
    if len(failed) == 1:
        what, which, it, them = f"turn {last.id}", str(last.id), "its wake is", "it"
    else:
        what, which = f"{len(failed)} turns", f"--failed {last.account}"
        it, them = "their wakes are", "them"
    return (
        f"{what} failed ({last.reason}) and {it} not answered: `raftsup turn retry {which}` runs"
        f" {them} again, `raftsup turn dismiss {which}` lets {them} be"
    )


def progress(turn: Turn, held: str) -> str:
    """What a turn has come to, for who waits for its end."""
    words = f"turn {turn.id} of {turn.account}: {turn.state}"
    if turn.attempt:
        words += f", attempt {turn.attempt}"
    if turn.state is State.RUNNING and turn.reason:
        # It may have come and gone between two looks.
        words += f", earlier: {turn.reason}"
    elif not held:
        held = turn.reason
    return f"{words}: {held}" if held else words


def _attempt(turn: Turn) -> str:
    if not turn.attempt:
        return "not begun" if turn.state is State.QUEUED else "never begun"
    # One that was cancelled may have waited for its next attempt when it was.
    if turn.state not in ENDED or turn.state is State.CANCELLED:
        return f"attempt {turn.attempt}"
    return f"attempt {turn.attempt} ran {turn.ended_at - turn.started_at:.1f} s"


def transcripts(turn: Turn, state: StateDir) -> list[dict[str, Any]]:
    """Of each attempt that has one: number, path and size in bytes."""
    found = []
    for number in range(1, turn.attempt + 1):
        path = state.transcript(turn.id, number)
        if path.exists():
            size = path.stat().st_size
            found.append({"attempt": number, "path": str(path), "bytes": size})
    return found


def page(turn: Turn, state: StateDir, held: str = "") -> str:
    """All that is known of a turn, a line each. ``held``: why it does not start."""
    over = turn.state in ENDED
    facts = {
        "turn": turn.id,
        "account": turn.account,
        "state": f"{turn.state}: {held}" if held else turn.state,
        "owed": f"{_when(turn.owed_at)}, to {_source(turn)}",
        "started": f"{_when(turn.started_at)}, attempt {turn.attempt}" if turn.started_at else "",
        "ended": _when(turn.ended_at) if turn.ended_at else "",
        "failed": _many(turn.failures, "attempt"),
        "interrupted": _many(turn.interruptions, "time"),
        # What the turn came to, or why it is not there yet.
        "reason" if over else "earlier": turn.reason,
        "run": turn.handle,
    }
    lines = [f"{name:<12}{value}" for name, value in facts.items() if value]
    lines += [
        f"{'transcript':<12}{found['path']} ({_many(found['bytes'], 'byte') or 'empty'})"
        for found in transcripts(turn, state)
    ]
    return "\n".join(lines) + "\n"


def for_terminal(transcript: bytes) -> bytes:
    """What an agent said, without what would command the terminal that it is shown in."""
    text = transcript.decode(errors="replace").replace("\r\n", "\n")
    return escaped(text, keep="\n\t").encode()


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}" if count else ""


def _source(turn: Turn) -> str:
    return "a wake" if turn.source == "wake" else f"an {turn.source}"


def _when(at: float) -> str:
    return moment(at, date=True)


def follow(
    turn: int, ledger: Ledger, state: StateDir, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[Turn, str]]:
    """Each state that a turn comes to, with what holds it, until it has ended.

    Goes on through a dispatcher's restart. Raises ``LedgerError``.
    """
    last: tuple[State, int] | None = None
    told, ask_at = "", 0.0
    while True:
        now = _read(ledger, turn)
        if now is not None and last != (now.state, now.attempt):
            last, told, ask_at = (now.state, now.attempt), "", time.monotonic() + _ASK_EVERY_S
            yield now, ""
            if now.state in ENDED:
                return
        elif now is not None and time.monotonic() >= ask_at:
            why, ask_at = held_by(now, state), time.monotonic() + _ASK_EVERY_S
            if why and why != told:
                yield now, why
            told = why
        sleep(POLL_S)


def held_by(turn: Turn, state: StateDir) -> str:
    """Why a turn does not go on; "" if nothing holds it."""
    try:
        status = dispatcher_status.ask(state.dispatcher_socket, timeout=2.0)
    except (control_client.DispatcherDown, control_client.DispatcherRefused):
        if turn.state is State.RUNNING:
            return "its dispatcher answers no more; the next one finds out what it came to"
        return "no dispatcher answers; the turn is kept until one does"
    return why_queued(turn.account, status, time.time()) if turn.state is State.QUEUED else ""


def why_queued(account: str, status: DispatcherStatus, now: float) -> str:
    """Why the turns of ``account`` wait, by the dispatcher's ``status``; "" if they need not."""
    if away := status["unavailable"].get(account):
        return str(away)
    if account in status["held"]:
        return "the config does not run its account"
    if status["draining"]:
        return "the host is stopping; the turn is kept until it runs again"
    lane = status["laneOf"].get(account, account)
    lanes = status["lanes"]
    for name, which in ((ALL, "every lane"), (lane, f"lane {lane}")):
        if name in lanes and lanes[name]["paused"]:
            return f"{which} is paused by an operator"
    if lane in lanes and (rest := lanes[lane]["notBefore"] - now) > 0:
        # Told once, not anew each second: the moment, not what is left.
        failures = lanes[lane]["failures"]
        return f"its lane rests until {moment(now + rest)} after {failures} failed in a row"
    for item in status["running"]:
        if item["lane"] == lane:
            return f"turn {item['turn']} of its lane runs"
    if lane in status["recovering"]:
        return "what the dispatcher before this one left running in its lane is not gone yet"
    if len(status["running"]) >= status["concurrency"]:
        return f"{len(status['running'])} turns run, and turns.concurrency allows no more"
    return ""


def _read(ledger: Ledger, turn: int) -> Turn | None:
    try:
        return ledger.get(turn)
    except LedgerUnavailable:
        return None
