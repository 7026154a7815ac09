"""The one place that starts turns.

What is owed is in the ledger; this holds a picture of it, a task for each running turn, and
nothing that a restart would miss. The decision what starts is ``lanes.decide``; here it is
carried out. What an operator has it do is in ``orders``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from raftsup.config.model import Account, Config
from raftsup.dispatcher import attempt, recovery, scheduler
from raftsup.dispatcher.attempt import Running, under_way
from raftsup.dispatcher.news import News
from raftsup.dispatcher.owed import Owed
from raftsup.dispatcher.patience import patiently
from raftsup.dispatcher.settle import settle, tell_health
from raftsup.dispatcher.tasks import Tasks
from raftsup.ledger import Ledger
from raftsup.log import say
from raftsup.paths import StateDir
from raftsup.runners import Lender
from raftsup.turn import ENDED, LaneHealth, Outcome, OutcomeKind, State, Turn

LOG = logging.getLogger("raftsup.dispatcher")


class Dispatcher:
    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        state: StateDir,
        environ: Mapping[str, str],
        *,
        pool: Lender,
        publish: Callable[[dict[str, object]], None] = lambda event: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.running: dict[int, Running] = {}
        #: A predecessor's attempts that are not known to be gone.
        self.recovering: dict[int, Running] = {}
        self.health: dict[str, LaneHealth] = {}
        self.draining = False
        self.owed = Owed(self.lane_of)
        self.ledger, self._state, self._environ = ledger, state, environ
        self._pool, self._tasks = pool, Tasks()
        self.now, self.news = now, News(publish, now)
        #: The newest turn that ``owed`` was told of.
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
            self._tasks.begin(self._recover(item))
        self.pump()

    def pump(self) -> None:
        """Start whatever may start now. Cheap; call it at any news."""
        if self.draining:
            return
        for turn in self.ledger.owed(after=self._last):
            self._last = turn.id
            self.owed.add(turn)
        settings, health, now = self.config.turns, self.health, self.now()
        decision = scheduler.decide(
            self.owed.heads(),
            busy=self._busy(),
            shut=self.unavailable(),
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
        self.owed.relane()
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
            (head.lane, self.config.account(self.owed.turn(head.turn).account))
            for head in self.owed.heads()
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
        turn = self.owed.take(turn_id)
        assert turn is not None
        account = self.config.account(turn.account)
        assert account is not None  # turns of other accounts have no lane
        self._ticket += 1
        self._served[account.lane] = self._ticket
        item = under_way(turn, account.lane, account.profile)
        self.running[turn_id] = item
        self._tasks.begin(self._attempt(item, account))

    async def _attempt(self, item: Running, account: Account) -> None:
        turn_id = item.turn.id
        try:
            item.turn = await patiently(lambda: self.ledger.claim(turn_id, now=self.now()))
            self.news.tell("turn.started", item.turn, item.lane)
            await self._run(item, account)
        finally:
            del self.running[turn_id]
        self.pump()

    async def _run(self, item: Running, account: Account) -> None:
        turn, settings = item.turn, self.config.turns

        async def remember(handle: str) -> None:
            item.turn = await patiently(lambda: self.ledger.remember(turn.id, handle))

        work = attempt.work_of(
            turn,
            account,
            settings,
            self._state,
            self._environ,
            seconds=attempt.seconds_left(turn, settings, self.now()),
            remember=remember,
            report=lambda step: self.news.step(turn, step),
        )
        with self._pool.lent(account) as runner:
            outcome = await attempt.run(runner, work, item.stop, settings.timeout)
        if outcome.kind is OutcomeKind.LEFT_RUNNING:
            self.news.tell(
                "turn.left_running", replace(item.turn, reason=outcome.reason), item.lane
            )
        else:
            await self._settle(item, outcome)

    async def _settle(self, item: Running, told: Outcome) -> None:
        lane = item.lane
        end = await settle(self.ledger, item, told, self.config.turns, self.health, self.now)
        self.health[lane] = end.health
        if end.turn.state is State.QUEUED:
            self.owed.add(end.turn)
        over = end.turn.state in ENDED
        self.news.tell(f"turn.{end.turn.state if over else end.event}", end.turn, lane)
        tell_health(lane, end, self.now())

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
                reason = f"the dispatcher died during attempt {turn.attempt}"
                await self._settle(item, Outcome(OutcomeKind.INTERRUPTED, reason))
            elif not self.draining or item.stop.done():
                self.running[turn.id] = item
                self.news.tell("turn.taken_up", turn, item.lane)
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
        await self._tasks.wait(budget)
        self.interrupt()
        await self._tasks.wait()

    def interrupt(self) -> None:
        """End what runs; it is owed again at the next start."""
        for item in self.running.values():
            attempt.end_early(item.stop, OutcomeKind.INTERRUPTED)
