"""The picture of what is owed: a queue for each lane, oldest first."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from raftsup.dispatcher.scheduler import Head, TurnQueue
from raftsup.turn import Turn

ACCOUNTS = ["a", "b", "c"]
NUMBERS = st.integers(1, 12)


def account_of(number: int) -> str:
    return ACCOUNTS[number % 3]


def owed(*turns: Turn) -> TurnQueue:
    queue = TurnQueue(lambda turn: turn.account)
    for turn in turns:
        queue.add(turn)
    return queue


def test_a_turn_that_comes_back_keeps_its_place() -> None:
    queue = owed(Turn(1, "a"), Turn(2, "a"))
    first = queue.take(1)
    assert first == Turn(1, "a")
    queue.add(first)
    assert queue.heads() == [Head("a", 1)]


def test_a_turn_told_of_twice_is_owed_once() -> None:
    queue = owed(Turn(1, "a"), Turn(1, "a", attempt=1))
    assert queue.take(1) == Turn(1, "a", attempt=1)
    assert queue.heads() == []


def test_taking_what_is_not_owed_gives_nothing() -> None:
    assert owed(Turn(1, "a")).take(2) is None


def test_turns_of_an_account_without_a_lane_are_held_and_counted() -> None:
    queue = TurnQueue(lambda turn: None if turn.account == "gone" else "lane")
    for turn in (Turn(1, "gone"), Turn(2, "here"), Turn(3, "gone")):
        queue.add(turn)
    assert queue.heads() == [Head("lane", 2)]
    assert (queue.waiting(), queue.held()) == ({"lane": 1}, {"gone": 2})
    assert queue.take(1) == Turn(1, "gone")


class OwedModel(RuleBasedStateMachine):
    """Compares ``TurnQueue`` with the plainest thing that could be right: a set of turn numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: dict[str, str | None] = {account: account for account in ACCOUNTS}
        self.real = TurnQueue(lambda turn: self.lanes[turn.account])
        self.model: set[int] = set()

    @rule(number=NUMBERS)
    def add(self, number: int) -> None:
        self.real.add(Turn(number, account_of(number)))
        self.model.add(number)

    @rule(number=NUMBERS)
    def take(self, number: int) -> None:
        taken = self.real.take(number)
        assert (taken is not None) == (number in self.model)
        self.model.discard(number)

    @rule(account=st.sampled_from(ACCOUNTS), lane=st.sampled_from(["a", "shared", None]))
    def reload(self, account: str, lane: str | None) -> None:
        self.lanes[account] = lane
        self.real.relane()

    @invariant()
    def each_lane_shows_its_oldest_turn(self) -> None:
        expected: dict[str, list[int]] = {}
        held: dict[str, int] = {}
        for number in sorted(self.model):
            account = account_of(number)
            if (lane := self.lanes[account]) is None:
                held[account] = held.get(account, 0) + 1
            else:
                expected.setdefault(lane, []).append(number)
        heads = {head.lane: head.turn for head in self.real.heads()}
        assert heads == {lane: queue[0] for lane, queue in expected.items()}
        assert self.real.waiting() == {lane: len(queue) for lane, queue in expected.items()}
        assert self.real.held() == held


TestOwedModel = OwedModel.TestCase
