"""The ledger against a plain-Python model of its rules, over random histories."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from raftsup.config.model import Dedupe
from raftsup.ledger import Accepted, Counts, LedgerError, open_ledger
from raftsup.turn import ENDED, TRANSITIONS, UNANSWERED, Event, LaneHealth, State, Turn, advance
from raftsup.wake import Wake

accounts = st.sampled_from(["a", "b"])
names = st.sampled_from([f"n{n}" for n in range(6)])
steps = st.sampled_from([0.0, 1.0, 4.0, 30.0, -3.0, -25.0])
TTL = 10.0


@dataclass
class Account:
    """What the rules say of one account; ``seen`` is in the order in which entries came."""

    seen: dict[str, tuple[float, int]] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    #: By turn, ended or not: the messages that it is about.
    about: dict[int, set[str]] = field(default_factory=dict)
    accepted: int = 0
    duplicates: int = 0
    asked: int = 0
    swept: list[State] = field(default_factory=list)


class LedgerAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ledger = open_ledger(self.folder / "ledger", 1 << 24)
        self.accounts: dict[str, Account] = {}
        self.turns: dict[int, Turn] = {}
        self.last = 0
        self.now = 1000.0
        self.lanes: dict[str, LaneHealth] = {}

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)

    @rule(
        account=accounts,
        identity=names,
        message=st.none() | names,
        step=steps,
        most=st.sampled_from([2, 4, 100]),
        coalesce=st.booleans(),
    )
    def accept(
        self,
        account: str,
        identity: str,
        message: str | None,
        step: float,
        most: int,
        coalesce: bool,
    ) -> None:
        self.now = max(0.0, self.now + step)
        got = self.ledger.accept(
            account,
            Wake(identity, message),
            now=self.now,
            limits=Dedupe(TTL, most),
            coalesce=coalesce,
        )
        assert got == self._accept(account, identity, message, most, coalesce)

    def _accept(
        self, name: str, identity: str, message: str | None, most: int, coalesce: bool
    ) -> Accepted:
        account = self.accounts.setdefault(name, Account())
        at, turn = account.seen.get(identity, (float("inf"), 0))
        duplicate = True
        if abs(self.now - at) >= TTL:
            queued = [
                t.id for t in self.turns.values() if t.account == name and t.state is State.QUEUED
            ]
            if message is not None and message in account.messages:
                turn = account.messages[message]
            else:
                queued = [id for id in queued if self.turns[id].attempt == 0]
                if coalesce and queued:
                    turn = min(queued)
                else:
                    self.last = turn = self.last + 1
                    self.turns[turn] = Turn(turn, name, owed_at=self.now)
                    duplicate = False
                if message is not None:
                    self._take_over(account, name, message, turn)
                    account.messages[message] = turn
                    account.about.setdefault(turn, set()).add(message)
            account.seen.pop(identity, None)
            account.seen[identity] = (self.now, turn)
        for old in list(account.seen)[:4]:
            if len(account.seen) <= most and abs(self.now - account.seen[old][0]) < TTL:
                break
            del account.seen[old]
        account.duplicates += duplicate
        account.accepted += not duplicate
        return Accepted(turn if turn in self.turns else 0, duplicate)

    def _take_over(self, account: Account, name: str, message: str, by: int) -> None:
        """What failed and is about nothing else than what came again is dismissed."""
        for turn in [t for t in self.turns.values() if t.state in UNANSWERED]:
            about = account.about.get(turn.id, set())
            if turn.account != name or message not in about:
                continue
            about.discard(message)
            if not about:
                reason = f"its wake came again and is queued as turn {by}; {turn.reason}"
                self.turns[turn.id] = advance(turn, Event.DISMISS, self.now, reason)

    @rule(account=accounts, step=steps)
    def owe(self, account: str, step: float) -> None:
        self.now = max(0.0, self.now + step)
        self.accounts.setdefault(account, Account()).asked += 1
        self.last += 1
        self.turns[self.last] = Turn(self.last, account, source="operator", owed_at=self.now)
        assert self.ledger.owe(account, "operator", now=self.now) == self.turns[self.last]

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), handle=st.sampled_from(["", "kind:1", "kind:ü"]))
    def remember(self, data: st.DataObject, handle: str) -> None:
        turn = data.draw(st.sampled_from(sorted(self.turns)))
        if self.turns[turn].state is State.RUNNING:
            self.turns[turn] = replace(self.turns[turn], handle=handle)
            assert self.ledger.remember(turn, handle) == self.turns[turn]
        else:
            with pytest.raises(LedgerError):
                self.ledger.remember(turn, handle)

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), step=steps, lane=st.booleans())
    def move(self, data: st.DataObject, step: float, lane: bool) -> None:
        turn = data.draw(st.sampled_from(sorted(self.turns)))
        before = self.turns[turn]
        events = [event for state, event in TRANSITIONS if state is before.state]
        if not events:
            return
        event = data.draw(st.sampled_from(events))
        self.now = max(0.0, self.now + step)
        moved = self.turns[turn] = advance(before, event, self.now, "")
        if event is Event.CLAIM:
            assert self.ledger.claim(turn, now=self.now) == moved
            return
        health = LaneHealth(turn, self.now)
        if lane:
            self.lanes[before.account] = health
        assert moved == self.ledger.settle(
            turn, event, now=self.now, lane=(before.account, health) if lane else None
        )
        account = self.accounts[before.account]
        if moved.state in ENDED:
            for message in [m for m, owner in account.messages.items() if owner == turn]:
                del account.messages[message]
        elif event is Event.REOPEN:
            free = {m for m in account.about.get(turn, ()) if m not in account.messages}
            account.about[turn] = free
            account.messages.update(dict.fromkeys(free, turn))

    @rule(keep=st.integers(0, 3), keep_for=st.sampled_from([5.0, 1000.0]), limit=st.integers(1, 3))
    def sweep(self, keep: int, keep_for: float, limit: int) -> None:
        due = []
        for name in self.accounts:
            ended = sorted(
                (t for t in self.turns.values() if t.account == name and t.state in ENDED),
                key=lambda t: (t.ended_at, t.id),
            )
            due += [
                t
                for rank, t in enumerate(ended)
                if rank < len(ended) - keep or self.now - t.ended_at > keep_for
            ]
        due = sorted(due, key=lambda t: (t.ended_at, t.id))[:limit]
        for turn in due:
            del self.turns[turn.id]
            self.accounts[turn.account].swept.append(turn.state)
        assert self.ledger.sweep(now=self.now, keep=keep, keep_for=keep_for, limit=limit) == due

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = open_ledger(self.folder / "ledger", 1 << 24)

    @invariant()
    def they_agree(self) -> None:
        turns = [self.turns[turn] for turn in sorted(self.turns)]
        assert self.ledger.verify() == []
        assert self.ledger.recent() == turns[::-1]
        assert self.ledger.owed() == [t for t in turns if t.state is State.QUEUED]
        assert self.ledger.running() == [t for t in turns if t.state is State.RUNNING]
        assert self.ledger.lane_health() == self.lanes
        for name, account in self.accounts.items():
            mine = [t for t in turns if t.account == name]
            assert self.ledger.recent(name, 3) == mine[::-1][:3]
            failed = [t for t in mine if t.state in UNANSWERED and t.source == "wake"]
            told = self.ledger.latest()[name].unanswered
            assert told == tuple(sorted(failed, key=lambda t: (t.ended_at, t.id)))
            counts = Counts(account.accepted, account.duplicates, account.asked)
            for state in [t.state for t in mine] + account.swept:
                field_name = {State.TIMED_OUT: "failed"}.get(state, state.value)
                counts = replace(counts, **{field_name: getattr(counts, field_name) + 1})
            assert self.ledger.counts()[name] == counts


LedgerAgainstModel.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLedgerAgainstModel = LedgerAgainstModel.TestCase
