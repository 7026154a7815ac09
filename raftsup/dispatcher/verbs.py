"""What can be asked of the dispatcher; the table of verbs is in ``server``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from raftsup import __version__
from raftsup.dispatcher import lanes
from raftsup.dispatcher.dispatch import Dispatcher
from raftsup.dispatcher.server import Answer, BadRequest, Verb


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
        lane = request.get("lane", lanes.ALL)
        known = {account.lane for account in dispatcher.config.accounts} | {lanes.ALL}
        if not isinstance(lane, str) or lane not in known:
            raise BadRequest(f"no lane {lane!r}; there are {', '.join(sorted(known))}")
        return lane

    def turn_of(request: Mapping[str, Any]) -> int:
        turn = request.get("turn")
        if not isinstance(turn, int) or isinstance(turn, bool) or turn < 1:
            raise BadRequest('"turn" must be a turn\'s number')
        return turn

    def run_once(request: Mapping[str, Any]) -> Answer:
        account = dispatcher.config.account(str(request.get("account")))
        if account is None:
            known = ", ".join(account.id for account in dispatcher.config.accounts)
            raise BadRequest(f"no account {request.get('account')!r}; there are {known}")
        if not account.runs:
            raise BadRequest(f"account {account.id} does not run: {account.problem or 'disabled'}")
        return {"turn": dispatcher.run_once(account.id, "operator").id}

    def set_paused(paused: bool) -> Verb:
        def verb(request: Mapping[str, Any]) -> Answer:
            lane = lane_of(request)
            dispatcher.set_paused(lane, paused)
            return {"lane": lane, "paused": paused}

        return verb

    def reloaded(_: Mapping[str, Any]) -> Answer:
        reload()
        return {}

    return {
        "status": status,
        "pause": set_paused(True),
        "resume": set_paused(False),
        "cancel": lambda request: {"turn": dispatcher.cancel(turn_of(request)).id},
        "retry": lambda request: {"turn": dispatcher.retry(turn_of(request)).id},
        "run": run_once,
        "reload": reloaded,
    }
