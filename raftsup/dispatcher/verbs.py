"""What can be asked of the dispatcher; the table of verbs is in ``server``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from raftsup import __version__
from raftsup.dispatcher import orders, scheduler
from raftsup.dispatcher.control_socket import Answer, BadRequest, Verb
from raftsup.dispatcher.dispatcher import Dispatcher
from raftsup.turn import IllegalMove


def verbs_of(dispatcher: Dispatcher, reload: Callable[[], None]) -> dict[str, Verb]:
    since = time.time()

    def status(_: Mapping[str, Any]) -> Answer:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "since": since,
            "concurrency": dispatcher.config.turns.concurrency,
            "draining": dispatcher.draining,
            "running": [
                {
                    "turn": item.turn.id,
                    "account": item.turn.account,
                    "lane": item.lane,
                    "attempt": item.turn.attempt,
                    "startedAt": item.turn.started_at,
                }
                for item in dispatcher.running.values()
            ],
            "recovering": sorted({item.lane for item in dispatcher.recovering.values()}),
            "waiting": dispatcher.owed.waiting(),
            "held": dispatcher.owed.held(),
            "laneOf": {a.id: a.lane for a in dispatcher.config.accounts},
            "unavailable": dispatcher.unavailable_accounts(),
            "lanes": {
                lane: {
                    "failures": health.failures,
                    "notBefore": health.not_before,
                    "paused": health.paused,
                }
                for lane, health in dispatcher.health.items()
            },
        }

    def lane_of(request: Mapping[str, Any]) -> str:
        lane = request.get("lane", scheduler.ALL)
        known = {account.lane for account in dispatcher.config.accounts} | {scheduler.ALL}
        if not isinstance(lane, str) or lane not in known:
            raise BadRequest(f"no lane {lane!r}; there are {', '.join(sorted(known))}")
        return lane

    def set_paused(paused: bool) -> Verb:
        def verb(request: Mapping[str, Any]) -> Answer:
            lane = lane_of(request)
            orders.set_paused(dispatcher, lane, paused)
            return {"lane": lane, "paused": paused}

        return verb

    def reloaded(_: Mapping[str, Any]) -> Answer:
        reload()
        return {}

    return {
        "status": status,
        "pause": set_paused(True),
        "resume": set_paused(False),
        "cancel": lambda request: _cancel(dispatcher, _turn_of(request)),
        "retry": lambda request: _retry(dispatcher, _turn_of(request)),
        "run": lambda request: _run(dispatcher, request),
        "reload": reloaded,
    }


def _turn_of(request: Mapping[str, Any]) -> int:
    turn = request.get("turn")
    if not isinstance(turn, int) or isinstance(turn, bool) or turn < 1:
        raise BadRequest('"turn" must be a turn\'s number')
    return turn


def _cancel(dispatcher: Dispatcher, turn: int) -> Answer:
    try:
        return {"turn": orders.cancel(dispatcher, turn).id}
    except IllegalMove as error:
        raise BadRequest(f"turn {turn} has ended already: it is {error.turn.state}") from error


def _retry(dispatcher: Dispatcher, turn: int) -> Answer:
    try:
        return {"turn": orders.retry(dispatcher, turn).id}
    except IllegalMove as error:
        raise BadRequest(
            f"turn {turn} is {error.turn.state}: only one that failed, timed out or was cancelled"
            f" can be owed again; `raftsup turn run {error.turn.account}` starts a new one"
        ) from error


def _run(dispatcher: Dispatcher, request: Mapping[str, Any]) -> Answer:
    account = dispatcher.config.account(str(request.get("account")))
    if account is None:
        known = ", ".join(account.id for account in dispatcher.config.accounts) or "none"
        raise BadRequest(f"no account {request.get('account')!r}; there are {known}")
    if not account.runs:
        why = account.problem or "enabled: false in the config"
        raise BadRequest(f"account {account.id} does not run: {why}")
    return {"turn": orders.run_once(dispatcher, account.id, "operator").id}
