"""Waiting for a turn's end, and telling what holds it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from raftsup.dispatcher import control_client
from raftsup.dispatcher.scheduler import ALL
from raftsup.ledger import Ledger, LedgerUnavailable
from raftsup.paths import StateDir
from raftsup.turn import ENDED, State, Turn

#: Seconds between looks at a turn that is waited for.
_LOOK = 0.1
#: Seconds that a turn may stay as it is before the dispatcher is asked, and again after that.
_PATIENCE = 1.0


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
            last, told, ask_at = (now.state, now.attempt), "", time.monotonic() + _PATIENCE
            yield now, ""
            if now.state in ENDED:
                return
        elif now is not None and time.monotonic() >= ask_at:
            why, ask_at = held_by(now, state), time.monotonic() + _PATIENCE
            if why and why != told:
                yield now, why
            told = why
        sleep(_LOOK)


def held_by(turn: Turn, state: StateDir) -> str:
    """Why a turn does not go on; "" if nothing holds it."""
    try:
        status = control_client.request(state.dispatcher_socket, "status", timeout=2.0)
    except (control_client.DispatcherDown, control_client.DispatcherRefused):
        return "no dispatcher answers; the turn is kept until one does"
    return why_queued(turn.account, status, time.time()) if turn.state is State.QUEUED else ""


def why_queued(account: str, status: Mapping[str, Any], now: float) -> str:
    """Why the turns of ``account`` wait, by the dispatcher's ``status``; "" if they need not."""
    if away := status["unavailable"].get(account):
        return str(away)
    if account in status["held"]:
        return "the config does not run its account"
    if status["draining"]:
        return "the host is stopping; the turn is kept until it runs again"
    lane = status["laneOf"].get(account, account)
    for name, which in ((ALL, "every lane"), (lane, f"lane {lane}")):
        if status["lanes"].get(name, {}).get("paused"):
            return f"{which} is paused by an operator"
    health = status["lanes"].get(lane, {})
    if (rest := health.get("notBefore", 0.0) - now) > 0:
        # Told once, not anew each second: the moment, not what is left.
        until = time.strftime("%H:%M:%S", time.localtime(now + rest))
        return f"its lane rests until {until} after {health['failures']} failed in a row"
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
