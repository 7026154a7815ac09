"""What the dispatcher answers to ``status``: its lanes, what runs and what is held. Times are Unix
seconds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from raftsup import __version__
from raftsup.dispatcher import control_client

if TYPE_CHECKING:
    from raftsup.dispatcher.dispatcher import Dispatcher


class RunningTurn(TypedDict):
    turn: int
    account: str
    lane: str
    attempt: int
    startedAt: float
    #: When its runner is told to end it; None before it has begun.
    dueAt: float | None


class LaneStatus(TypedDict):
    #: Attempts that failed in a row.
    failures: int
    #: It starts nothing before that.
    notBefore: float
    paused: bool


class DispatcherStatus(TypedDict):
    pid: int
    version: str
    since: float
    concurrency: int
    draining: bool
    running: list[RunningTurn]
    #: Lanes in which what a predecessor left is not known to be gone.
    recovering: list[str]
    #: Queued turns by lane.
    waiting: dict[str, int]
    #: Turns of accounts that the config does not run, by account.
    held: dict[str, int]
    laneOf: dict[str, str]
    #: By account, why its agent cannot be had now.
    unavailable: dict[str, str]
    #: Those that failed or were paused; ``*`` stands for all.
    lanes: dict[str, LaneStatus]


def ask(socket: Path, timeout: float = 5.0) -> DispatcherStatus:
    """Raises ``control_client.DispatcherDown`` and ``DispatcherRefused``."""
    return cast(DispatcherStatus, control_client.request(socket, "status", timeout))


def of(dispatcher: Dispatcher, since: float) -> DispatcherStatus:
    """``since``: when its process began."""
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
                "dueAt": item.due_at,
            }
            for item in dispatcher.running.values()
        ],
        "recovering": sorted({item.lane for item in dispatcher.recovering.values()}),
        "waiting": dispatcher.queue.waiting(),
        "held": dispatcher.queue.held(),
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
