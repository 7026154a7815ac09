"""The one place that starts turns.

What is owed is in the ledger; this holds a picture of it, a task for each running turn, and
nothing that a restart would miss. The decision what starts is ``scheduler.decide``; here it is
carried out. What an operator has it do is in the ledger before it counts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from raftsup import exit_codes
from raftsup.backoff import Backoff
from raftsup.config.model import Account, Config
from raftsup.dispatcher import attempt, recovery, scheduler
from raftsup.dispatcher.attempt import Running, under_way
from raftsup.dispatcher.scheduler import TurnQueue
from raftsup.ledger import Ledger, LedgerUnavailable
from raftsup.log import say
from raftsup.paths import StateDir
from raftsup.runners.base import RunnerProvider, Step
from raftsup.turn import ENDED, Event, LaneHealth, Outcome, OutcomeKind, State, Turn, judge

T = TypeVar("T")
LOG = logging.getLogger("raftsup.dispatcher")
#: Seconds between tries of a ledger that cannot be written.
RETRY_S = 0.5


@dataclass(frozen=True)
class _End:
    """What the end of an attempt means for its turn and its lane."""

    turn: Turn
    event: Event
    before: LaneHealth
    health: LaneHealth


class Dispatcher:
    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        state: StateDir,
        environ: Mapping[str, str],
        *,
        pool: RunnerProvider,
        publish: Callable[[dict[str, object]], None] = lambda event: None,
        cut_off: Callable[[str], str] = lambda account: "",
        now: Callable[[], float] = time.time,
        retry_s: float = RETRY_S,
    ) -> None:
        self.config = config
        self.running: dict[int, Running] = {}
        #: A predecessor's attempts that are not known to be gone.
        self.recovering: dict[int, Running] = {}
        self.health: dict[str, LaneHealth] = {}
        self.draining = False
        self.queue = TurnQueue(self.lane_of)
        self.ledger, self._state, self._environ = ledger, state, environ
        self._pool, self._publish, self._cut_off = pool, publish, cut_off
        self.now, self._retry_s = now, retry_s
        #: The lanes that rest because an account was cut off from Raft, with that account.
        self._waiting_for_raft: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        #: The newest turn that ``queue`` was told of.
        self._last = 0
        self._ticket = 0
        self._served: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take over from a predecessor: end what it left running, then queue what is owed."""
        self.health = self.ledger.lane_health()
        self._pool.serve(self.config.accounts)
        for turn in self.ledger.running():
            account = self.config.account(turn.account)
            profile = account.profile if account is not None else None
            item = under_way(turn, self.lane_of(turn) or turn.account, profile)
            self.recovering[turn.id] = item
            self._begin(self._recover(item))
        self.pump()

    def pump(self) -> None:
        """Start whatever may start now. Cheap; call it at any news."""
        if self.draining:
            return
        for turn in self.ledger.owed(after=self._last):
            self._last = turn.id
            self.queue.add(turn)
        for lane, account in list(self._waiting_for_raft.items()):
            if not self._cut_off(account):
                del self._waiting_for_raft[lane]
                self._end_rest(lane)
        settings, health, now = self.config.turns, self.health, self.now()
        decision = scheduler.decide(
            self.queue.heads(),
            busy=self._busy(),
            unavailable=self.unavailable(),
            health={
                lane: scheduler.bounded(h, now, settings.max_pause) for lane, h in health.items()
            },
            served=self._served,
            slots=settings.concurrency - len({*self.running, *self.recovering}),
            now=now,
        )
        for turn_id in decision.start:
            self._start(turn_id)
        self._look_again_at(decision.look_again)

    def reconfigure(self, config: Config) -> None:
        """Use ``config`` from the next start on; what runs goes on as it is."""
        self.config = config
        self._pool.serve(config.accounts)
        self.queue.relane()
        self.pump()

    def unavailable(self) -> dict[str, str]:
        """The lanes that have work and no agent for it now, with the reason."""
        reasons = {lane: self._pool.unavailable(account) for lane, account in self._next()}
        return {lane: why for lane, why in reasons.items() if why}

    def unavailable_accounts(self) -> dict[str, str]:
        """The accounts whose agent cannot be had now, with the reason."""
        reasons = {a.id: self._pool.unavailable(a) for a in self.config.accounts if a.runs}
        return {account: why for account, why in reasons.items() if why}

    def lane_of(self, turn: Turn) -> str | None:
        """The lane that the turn's account is in now; None if the config does not run it."""
        account = self.config.account(turn.account)
        return account.lane if account is not None and account.runs else None

    def _busy(self) -> set[str]:
        # A running turn holds the lane that it started in and, after a reload, also the lane
        # that its account is in now.
        items = [*self.running.values(), *self.recovering.values()]
        now_in = {lane for item in items if (lane := self.lane_of(item.turn))}
        return now_in | {item.lane for item in items} | self._lanes_on({i.profile for i in items})

    def _lanes_on(self, profiles: set[str | None]) -> set[str]:
        """The lanes whose next turn would use one of ``profiles``. A reload may have given it to
        another account, and two agents would read one inbox.
        """
        return {lane for lane, a in self._next() if a.profile and a.profile in profiles}

    def _next(self) -> list[tuple[str, Account]]:
        """The lanes that have work, each with the account of its next turn."""
        found = (
            (head.lane, self.config.account(self.queue.turn(head.turn).account))
            for head in self.queue.heads()
        )
        return [(lane, account) for lane, account in found if account is not None]

    def _look_again_at(self, moment: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if moment is not None:
            wait = max(0.0, moment - self.now())
            self._timer = asyncio.get_running_loop().call_later(wait, self.pump)

    # -- a turn's attempt

    def _start(self, turn_id: int) -> None:
        turn = self.queue.take(turn_id)
        assert turn is not None
        account = self.config.account(turn.account)
        assert account is not None  # turns of other accounts have no lane
        self._ticket += 1
        self._served[account.lane] = self._ticket
        item = under_way(turn, account.lane, account.profile)
        self.running[turn_id] = item
        self._begin(self._attempt(item, account))

    async def _attempt(self, item: Running, account: Account) -> None:
        turn_id = item.turn.id
        try:
            item.turn = await self._written(lambda: self.ledger.claim(turn_id, now=self.now()))
            self._tell("turn.started", item.turn, item.lane)
            await self._run(item, account)
        finally:
            del self.running[turn_id]
        self.pump()

    async def _run(self, item: Running, account: Account) -> None:
        turn, settings = item.turn, self.config.turns

        async def remember(handle: str) -> None:
            item.turn = await self._written(lambda: self.ledger.remember(turn.id, handle))

        seconds = attempt.seconds_left(turn, settings, self.now())
        item.due_at = self.now() + seconds
        work = attempt.work_of(
            turn,
            account,
            settings,
            self._state,
            self._environ,
            seconds=seconds,
            remember=remember,
            report=lambda step: self._tell_step(turn, step),
        )
        with self._pool.lent(account) as runner:
            outcome = await attempt.run(runner, work, item.stop, settings.timeout)
        if outcome.kind is OutcomeKind.LEFT_RUNNING:
            self._tell("turn.left_running", replace(item.turn, reason=outcome.reason), item.lane)
        else:
            await self._settle(item, outcome)

    async def _settle(self, item: Running, told: Outcome) -> None:
        lane = item.lane
        if cut_off := self._excuse(item, told):
            told = Outcome(OutcomeKind.POSTPONED, f"{told.reason}; {cut_off}")
        end = await self._written(lambda: self._judge(item, told))
        self.health[lane] = end.health
        if cut_off:
            self._waiting_for_raft[lane] = item.turn.account
        if end.turn.state is State.QUEUED:
            self.queue.add(end.turn)
        over = end.turn.state in ENDED
        self._tell(f"turn.{end.turn.state if over else end.event}", end.turn, lane)
        if end.health.failures > end.before.failures:
            wait = end.health.not_before - self.now()
            LOG.warning(say("lane.slowed", lane=lane, failures=end.health.failures, seconds=wait))
        elif end.before.failures > end.health.failures:
            LOG.info(say("lane.recovered", lane=lane, after=end.before.failures))

    def _excuse(self, item: Running, told: Outcome) -> str:
        """Why a failure was not the turn's own; "" where it was. An agent that cannot reach Raft
        reads nothing, and as soon as it can again the turn is worth an attempt.
        """
        return self._cut_off(item.turn.account) if told.kind is OutcomeKind.FAILED else ""

    def _judge(self, item: Running, told: Outcome) -> _End:
        """Write what ``told``, a runner's outcome, comes to. Judged anew at each try: an operator
        may cancel, or pause the lane, between them.
        """
        settings, now = self.config.turns, self.now()
        outcome = attempt.final(told, item.stop)
        before = self.health.get(item.lane, LaneHealth())
        event = judge(item.turn, outcome, settings.attempts)
        pause = Backoff(settings.pause, settings.max_pause)
        health = scheduler.after(before, outcome.kind, now, pause, random.random())  # noqa: S311
        changed = None if health == before else (item.lane, health)
        turn = self.ledger.settle(item.turn.id, event, now=now, reason=outcome.reason, lane=changed)
        return _End(turn, event, before, health)

    async def _recover(self, item: Running) -> None:
        turn = item.turn
        try:
            await recovery.until_free(
                self._state.transcript(turn.id, turn.attempt),
                attempt.marks(turn, self._state),
                lambda text: LOG.warning(
                    say("turn.lingers", turn=turn.id, account=turn.account, reason=text)
                ),
            )
            account = self.config.account(turn.account)
            if account is None or not recovery.can_take_up(turn, account.agent):
                reason = f"the host or its dispatcher died during attempt {turn.attempt}"
                await self._settle(item, Outcome(OutcomeKind.INTERRUPTED, reason))
            elif not self.draining or item.stop.done():
                self.running[turn.id] = item
                self._tell("turn.taken_up", turn, item.lane)
                await self._run(item, account)
        finally:
            del self.recovering[turn.id]
            self.running.pop(turn.id, None)
        self.pump()

    # -- the end

    async def drain(self, budget: float | None) -> None:
        """Start nothing more; wait ``budget`` seconds (None: as long as it takes) for what runs,
        then interrupt it.
        """
        self.draining = True
        self._look_again_at(None)
        if self._tasks:
            LOG.info(say("drain.waiting", turns=len(self.running), seconds=budget))
        await self._wait(budget)
        self.interrupt()
        await self._wait(None)

    def interrupt(self) -> None:
        """End what runs; it is owed again at the next start."""
        for item in self.running.values():
            attempt.end_early(item.stop, OutcomeKind.INTERRUPTED)

    # -- what an operator orders

    def cancel(self, turn_id: int) -> Turn:
        """End a queued or running turn. Raises ``IllegalMove`` or ``LedgerError``."""
        if item := self.running.get(turn_id) or self.recovering.get(turn_id):
            attempt.end_early(item.stop, OutcomeKind.CANCELLED)
            return item.turn
        reason = "cancelled by an operator"
        turn = self.ledger.settle(turn_id, Event.CANCEL, now=self.now(), reason=reason)
        self.queue.take(turn_id)
        self._tell("turn.cancelled", turn, self.lane_of(turn))
        self.pump()
        return turn

    def dismiss(self, turn_id: int) -> Turn:
        """Let a failed turn be: nobody waits for it. Raises ``IllegalMove`` or ``LedgerError``."""
        failed = self.ledger.get(turn_id)
        reason = f"dismissed by an operator; it had {failed.state}: {failed.reason}"
        turn = self.ledger.settle(turn_id, Event.DISMISS, now=self.now(), reason=reason)
        self._tell("turn.dismissed", turn, self.lane_of(turn))
        return turn

    def retry(self, turn_id: int) -> Turn:
        """Queue an ended turn again. Raises ``IllegalMove`` or ``LedgerError``."""
        turn = self.ledger.settle(turn_id, Event.REOPEN, now=self.now())
        self.queue.add(turn)
        lane = self.lane_of(turn)
        if lane is not None:
            self._end_rest(lane)  # who asks for it wants it now; the failures so far still count
        self._tell("turn.reopened", turn, lane)
        self.pump()
        return turn

    def run_once(self, account_id: str, source: str) -> Turn:
        """Queue a turn of an account without a wake. Raises ``LedgerError``."""
        turn = self.ledger.owe(account_id, source, now=self.now())
        LOG.info(say("turn.owed", turn=turn.id, account=turn.account, source=source))
        self.pump()
        return turn

    def set_paused(self, lane: str, paused: bool) -> None:
        """Hold or free a lane (``scheduler.ALL``: every lane). What runs goes on. Freeing ends
        also the rest that failures earned. Raises ``LedgerError``.
        """
        before = self.health.get(lane, LaneHealth())
        health = replace(before, paused=paused, not_before=0.0)
        self.ledger.set_lane_health(lane, health)
        self.health[lane] = health
        LOG.info(say("lane.paused" if paused else "lane.resumed", lane=lane))
        self.pump()

    def _end_rest(self, lane: str) -> None:
        if lane in self.health:
            self.health[lane] = replace(self.health[lane], not_before=0.0)

    # -- writing, and telling of it

    async def _written(self, write: Callable[[], T]) -> T:
        """What ``write`` gives, tried again for as long as it raises ``LedgerUnavailable``.

        Where only a new process can help, this one ends: its turns are then queued again.
        """
        while True:
            try:
                return write()
            except LedgerUnavailable as error:
                LOG.error(say("ledger.unavailable", reason=str(error)))
                if error.lasting:
                    os._exit(exit_codes.FAILED)
                await asyncio.sleep(self._retry_s)

    def _tell(self, action: str, turn: Turn, lane: str | None) -> None:
        """``action`` names what became of ``turn``: for the log, and for those who follow."""
        facts: dict[str, object] = {
            "turn": turn.id,
            "account": turn.account,
            "lane": lane,
            "attempt": turn.attempt,
            "reason": turn.reason or None,
        }
        LOG.info(say(action, **facts))
        self._publish({"event": action, "at": self.now(), **facts})

    def _tell_step(self, turn: Turn, step: Step) -> None:
        """A step of a running attempt: for followers alone, the log would fill with them."""
        about = {"turn": turn.id, "account": turn.account, "attempt": turn.attempt}
        self._publish({"event": "turn.step", "at": self.now(), **about, **vars(step)})

    # -- tasks, of which none may break unnoticed

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have ``work`` done beside the others. If it raises, the process ends."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _wait(self, seconds: float | None) -> None:
        """Until all are done, for at most ``seconds`` (None: as long as it takes)."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # A turn may be stranded by it; a new dispatcher finds every one of them.
            LOG.critical(say("dispatcher.broke", reason=repr(error)), exc_info=error)
            os._exit(exit_codes.FAILED)
