"""What the end of an attempt means for its turn and its lane, decided and written in one go."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from raftsup.backoff import Backoff
from raftsup.config.model import Turns
from raftsup.dispatcher import attempt, scheduler
from raftsup.dispatcher.attempt import Running
from raftsup.dispatcher.patience import patiently
from raftsup.ledger import Ledger
from raftsup.log import say
from raftsup.turn import Event, LaneHealth, Outcome, Turn, judge

LOG = logging.getLogger("raftsup.dispatcher")


@dataclass(frozen=True)
class End:
    turn: Turn
    event: Event
    before: LaneHealth
    health: LaneHealth


async def settle(
    ledger: Ledger,
    item: Running,
    told: Outcome,
    settings: Turns,
    lanes_health: Mapping[str, LaneHealth],
    now: Callable[[], float],
) -> End:
    """Write what ``told``, a runner's outcome, comes to. Waits for as long as the ledger takes
    no write.
    """
    pause = Backoff(settings.pause, settings.max_pause)

    def write() -> End:
        # Judged anew at each try: an operator may cancel, or pause the lane, between them.
        outcome = attempt.final(told, item.stop)
        before = lanes_health.get(item.lane, LaneHealth())
        event = judge(item.turn, outcome, settings.attempts)
        health = scheduler.after(before, outcome.kind, now(), pause, random.random())  # noqa: S311
        changed = None if health == before else (item.lane, health)
        turn = ledger.settle(item.turn.id, event, now=now(), reason=outcome.reason, lane=changed)
        return End(turn, event, before, health)

    return await patiently(write)


def tell_health(lane: str, end: End, now: float) -> None:
    """Log that the lane rests, or that it is well again."""
    if end.health.failures > end.before.failures:
        wait = end.health.not_before - now
        LOG.warning(say("lane.slowed", lane=lane, failures=end.health.failures, seconds=wait))
    elif end.before.failures > end.health.failures:
        LOG.info(say("lane.recovered", lane=lane, after=end.before.failures))
