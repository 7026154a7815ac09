"""What an operator may have the dispatcher do: each order is in the ledger before it counts."""

from __future__ import annotations

import logging
from dataclasses import replace

from raftsup.dispatcher import attempt
from raftsup.dispatcher.dispatcher import Dispatcher
from raftsup.log import say
from raftsup.turn import Event, LaneHealth, OutcomeKind, Turn

LOG = logging.getLogger("raftsup.dispatcher")


def cancel(dispatcher: Dispatcher, turn_id: int) -> Turn:
    """End an owed or running turn. Raises ``IllegalMove`` or ``LedgerError``."""
    if item := dispatcher.running.get(turn_id) or dispatcher.recovering.get(turn_id):
        attempt.end_early(item.stop, OutcomeKind.CANCELLED)
        return item.turn
    turn = dispatcher.ledger.settle(
        turn_id, Event.CANCEL, now=dispatcher.now(), reason="cancelled by an operator"
    )
    dispatcher.owed.take(turn_id)
    dispatcher.news.tell("turn.cancelled", turn, dispatcher.lane_of(turn))
    dispatcher.pump()
    return turn


def retry(dispatcher: Dispatcher, turn_id: int) -> Turn:
    """Owe an ended turn again. Raises ``IllegalMove`` or ``LedgerError``."""
    turn = dispatcher.ledger.settle(turn_id, Event.REOPEN, now=dispatcher.now())
    dispatcher.owed.add(turn)
    lane = dispatcher.lane_of(turn)
    if lane in dispatcher.health:
        # Who asks for it wants it now; the failures so far still count.
        dispatcher.health[lane] = replace(dispatcher.health[lane], not_before=0.0)
    dispatcher.news.tell("turn.reopened", turn, lane)
    dispatcher.pump()
    return turn


def run_once(dispatcher: Dispatcher, account_id: str, source: str) -> Turn:
    """Owe an account a turn without a wake. Raises ``LedgerError``."""
    turn = dispatcher.ledger.owe(account_id, source, now=dispatcher.now())
    LOG.info(say("turn.owed", turn=turn.id, account=turn.account, source=source))
    dispatcher.pump()
    return turn


def set_paused(dispatcher: Dispatcher, lane: str, paused: bool) -> None:
    """Hold or free a lane (``lanes.ALL``: every lane). What runs goes on. Freeing ends also the
    rest that failures earned. Raises ``LedgerError``.
    """
    before = dispatcher.health.get(lane, LaneHealth())
    health = replace(before, paused=paused, not_before=0.0)
    dispatcher.ledger.set_lane_health(lane, health)
    dispatcher.health[lane] = health
    LOG.info(say("lane.paused" if paused else "lane.resumed", lane=lane))
    dispatcher.pump()
