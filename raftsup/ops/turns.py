"""What is known of turns, for people: lists, one turn whole, and waiting for an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from raftsup.dispatcher import client
from raftsup.dispatcher.lanes import ALL
from raftsup.ledger import Ledger, LedgerUnavailable
from raftsup.paths import StateDir
from raftsup.turn import ENDED, State, Turn

#: Seconds between looks at a turn that is waited for.
_LOOK = 0.1
#: Seconds that a turn may be queued before we ask what holds it.
_PATIENCE = 1.0


def line(turn: Turn) -> str:
    """A turn in one line."""
    words = [f"{turn.id}  {_stamp(turn.owed_at)}  {turn.account}  {turn.state}"]
    if turn.source != "wake":
        words.append(f"asked for by an {turn.source}")
    if turn.state in ENDED:
        words.append(f"{turn.ended_at - turn.owed_at:.1f} s after it was owed")
        if turn.started_at:
            words.append(f"ran {turn.ended_at - turn.started_at:.1f} s")
    words.append(f"attempt {turn.attempt}")
    if turn.reason:
        words.append(turn.reason)
    return ", ".join(words)


def transcripts(turn: Turn, state: StateDir) -> list[dict[str, Any]]:
    """Of each attempt that has one: number, path and size in bytes."""
    found = []
    for number in range(1, turn.attempt + 1):
        path = state.transcript(turn.id, number)
        if path.exists():
            size = path.stat().st_size
            found.append({"attempt": number, "path": str(path), "bytes": size})
    return found


def page(turn: Turn, state: StateDir) -> str:
    """All that is known of a turn, a line each."""
    facts = {
        "turn": turn.id,
        "account": turn.account,
        "state": turn.state,
        "owed": f"{_stamp(turn.owed_at)}, to {_source(turn)}",
        "started": f"{_stamp(turn.started_at)}, attempt {turn.attempt}" if turn.started_at else "",
        "ended": _stamp(turn.ended_at) if turn.ended_at else "",
        "failed": f"{turn.failures} attempts" if turn.failures else "",
        "interrupted": f"{turn.interruptions} times" if turn.interruptions else "",
        "reason": turn.reason,
        "run": turn.handle,
    }
    lines = [f"{name:<12}{value}" for name, value in facts.items() if value]
    lines += [
        f"{'transcript':<12}{found['path']} ({found['bytes']} bytes)"
        for found in transcripts(turn, state)
    ]
    return "\n".join(lines) + "\n"


def follow(
    turn: int, ledger: Ledger, state: StateDir, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[Turn, str]]:
    """Each state that a turn comes to, with what holds it, until it has ended.

    Goes on through a dispatcher's restart. Raises ``LedgerError``.
    """
    told: tuple[object, ...] = ()
    began = time.monotonic()
    while True:
        now = _read(ledger, turn)
        if now is not None:
            waits = now.state is State.QUEUED and time.monotonic() - began > _PATIENCE
            why = held_by(now, state) if waits else ""
            if told != (now.state, now.attempt, why):
                told = now.state, now.attempt, why
                yield now, why
            if now.state in ENDED:
                return
        sleep(_LOOK)


def held_by(turn: Turn, state: StateDir) -> str:
    """Why a queued turn does not start, as the dispatcher sees it; "" if nothing holds it."""
    try:
        status = client.request(state.dispatcher_socket, "status", timeout=2.0)
    except (client.DispatcherDown, client.DispatcherRefused):
        return "the dispatcher is down"
    if why := status["unavailable"].get(turn.account):
        return str(why)
    if turn.account in status["held"]:
        return "the config does not run its account"
    lane = status["laneOf"].get(turn.account, turn.account)
    if any(status["lanes"].get(name, {}).get("paused") for name in (lane, ALL)):
        return "its lane is paused"
    if status["lanes"].get(lane, {}).get("notBefore", 0.0) > time.time():
        return "its lane rests after failures"
    if any(running["lane"] == lane for running in status["running"]):
        return "another turn of its lane runs"
    return ""


def _read(ledger: Ledger, turn: int) -> Turn | None:
    try:
        return ledger.get(turn)
    except LedgerUnavailable:
        return None


def _source(turn: Turn) -> str:
    return "a wake" if turn.source == "wake" else f"an {turn.source}"


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
