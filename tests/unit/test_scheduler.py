"""Which turn starts next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.backoff import Backoff
from raftsup.dispatcher.scheduler import ALL, Decision, Head, TurnQueue, after, bounded, decide
from raftsup.turn import LaneHealth, OutcomeKind, Turn

NOW = 1000.0
LANES = [f"lane{n}" for n in range(8)]


@dataclass(frozen=True)
class Scene:
    heads: tuple[Head, ...]
    busy: frozenset[str]
    unavailable: frozenset[str]
    health: Mapping[str, LaneHealth]
    served: Mapping[str, int]
    slots: int

    def decide(self) -> Decision:
        return decide(
            self.heads,
            busy=self.busy,
            unavailable=self.unavailable,
            health=self.health,
            served=self.served,
            slots=self.slots,
            now=NOW,
        )

    def rests_until(self, head: Head) -> float:
        return self.health.get(head.lane, LaneHealth()).not_before

    def free(self) -> list[Head]:
        """Heads that only their rest could hold back."""
        paused = {lane for lane, health in self.health.items() if health.paused}
        return [
            head for head in self.heads if head.lane not in self.busy | self.unavailable | paused
        ]

    def ready(self) -> list[Head]:
        return [head for head in self.free() if self.rests_until(head) <= NOW]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    lanes = draw(st.lists(st.sampled_from(LANES), unique=True))
    turns = draw(st.permutations(range(1, len(lanes) + 1)))
    rest = st.sampled_from([0.0, NOW - 1, NOW, NOW + 1, NOW + 5, NOW + 60])
    health = st.builds(LaneHealth, st.integers(0, 9), rest, st.booleans())
    return Scene(
        heads=tuple(map(Head, lanes, turns)),
        # Few are held back, so that most scenes have several that are ready.
        busy=draw(st.frozensets(st.sampled_from(LANES), max_size=2)),
        unavailable=draw(st.frozensets(st.sampled_from(LANES), max_size=2)),
        health=draw(st.dictionaries(st.sampled_from(LANES), health, max_size=4)),
        served=draw(st.dictionaries(st.sampled_from(LANES), st.integers(0, 9))),
        slots=draw(st.integers(-2, 9)),
    )


def started(scene: Scene) -> list[Head]:
    by_turn = {head.turn: head for head in scene.heads}
    return [by_turn[turn] for turn in scene.decide().start]


@given(scenes())
def test_no_two_turns_of_one_lane_start(scene: Scene) -> None:
    lanes = [head.lane for head in started(scene)]
    assert len(lanes) == len(set(lanes))


@given(scenes())
def test_a_busy_a_shut_a_paused_and_a_resting_lane_start_nothing(scene: Scene) -> None:
    assert set(started(scene)) <= set(scene.ready())


@given(scenes())
def test_no_slot_idles_while_a_lane_is_ready_and_no_more_start_than_slots(scene: Scene) -> None:
    assert len(started(scene)) == max(0, min(scene.slots, len(scene.ready())))


@given(scenes(), st.sampled_from(LANES))
def test_a_lane_that_is_shut_is_to_the_others_as_if_it_had_no_work(scene: Scene, lane: str) -> None:
    # Above all it takes no slot, and its rest wakes nobody: who shut it tells when it opens.
    others = tuple(head for head in scene.heads if head.lane != lane)
    shut = replace(scene, unavailable=scene.unavailable | {lane})
    assert shut.decide() == replace(scene, heads=others).decide()


def test_nothing_starts_while_more_runs_than_a_reload_allows() -> None:
    heads = [Head(lane, n) for n, lane in enumerate(LANES, 1)]
    assert decide(heads, busy=(), health={}, served={}, slots=-2, now=NOW) == Decision()


@given(scenes())
def test_the_lane_served_longest_ago_goes_first_then_the_older_turn(scene: Scene) -> None:
    def age(head: Head) -> tuple[int, int]:
        return scene.served.get(head.lane, -1), head.turn

    begun = started(scene)
    assert [age(head) for head in begun] == sorted(age(head) for head in begun)
    waiting = set(scene.ready()) - set(begun)
    assert not begun or all(age(begun[-1]) < age(head) for head in waiting)


@given(scenes())
def test_the_next_look_is_at_the_earliest_end_of_a_rest(scene: Scene) -> None:
    rests = [scene.rests_until(head) for head in scene.free() if scene.rests_until(head) > NOW]
    assert scene.decide().look_again == min(rests, default=None)


@given(scenes())
def test_a_pause_of_all_lanes_starts_nothing_and_looks_for_nothing(scene: Scene) -> None:
    paused = replace(scene, health={**scene.health, ALL: LaneHealth(paused=True)})
    assert paused.decide() == Decision()


@given(scenes())
def test_a_pause_of_all_that_was_taken_back_changes_nothing(scene: Scene) -> None:
    resumed = replace(scene, health={**scene.health, ALL: LaneHealth(paused=False)})
    assert resumed.decide() == scene.decide()


# -- over time


def rounds(owed: TurnQueue, slots: int, count: int) -> list[list[Turn]]:
    """What each of ``count`` rounds starts when all turns of a round end together."""
    served: dict[str, int] = {}
    ticket, history = 0, []
    for _ in range(count):
        decision = decide(owed.heads(), busy=(), health={}, served=served, slots=slots, now=NOW)
        begun = [turn for id_ in decision.start if (turn := owed.take(id_))]
        for turn in begun:
            ticket += 1
            served[turn.account] = ticket
        history.append(begun)
    return history


def test_a_flood_in_one_lane_delays_another_lane_by_one_round_at_most() -> None:
    owed = TurnQueue(lambda turn: turn.account)
    for n in range(1, 1001):
        owed.add(Turn(n, "flood"))
    assert [turn.id for turn in rounds(owed, 1, 1)[0]] == [1]
    owed.add(Turn(1001, "quiet"))
    first, second = rounds(owed, 1, 2)
    assert "quiet" in {turn.account for turn in first + second}


@given(
    st.lists(st.sampled_from(LANES[:4]), min_size=1, max_size=60),
    st.integers(min_value=1, max_value=5),
)
def test_lanes_take_turns_and_each_keeps_its_order(accounts: list[str], slots: int) -> None:
    owed = TurnQueue(lambda turn: turn.account)
    for n, account in enumerate(accounts, 1):
        owed.add(Turn(n, account))
    history = rounds(owed, slots, len(accounts))
    run = [turn for begun in history for turn in begun]
    assert len(run) == len(accounts)
    for account in set(accounts):
        ids = [turn.id for turn in run if turn.account == account]
        assert ids == sorted(ids)
    # While two lanes both have work, neither is ever more than one turn ahead of the other.
    left, count = Counter(accounts), Counter[str]()
    for turn in run:
        count[turn.account] += 1
        unfinished = [lane for lane in left if count[lane] < left[lane]]
        assert all(count[turn.account] - count[lane] <= 1 for lane in unfinished)


# -- a lane's health

PAUSE = Backoff(base=1.0, cap=8.0)
SLOW = LaneHealth(failures=2, not_before=990.0)


@pytest.mark.parametrize(
    ("outcome", "before", "expected"),
    [
        (OutcomeKind.SUCCEEDED, SLOW, LaneHealth()),
        (OutcomeKind.SUCCEEDED, LaneHealth(), LaneHealth()),
        (OutcomeKind.FAILED, LaneHealth(), LaneHealth(1, NOW + 1)),
        (OutcomeKind.FAILED, SLOW, LaneHealth(3, NOW + 4)),
        (OutcomeKind.TIMED_OUT, SLOW, LaneHealth(3, NOW + 4)),
        (OutcomeKind.FAILED, LaneHealth(50, 990.0), LaneHealth(51, NOW + 8)),
        (OutcomeKind.CANCELLED, SLOW, SLOW),
        (OutcomeKind.INTERRUPTED, SLOW, SLOW),
        (OutcomeKind.POSTPONED, SLOW, LaneHealth(3, NOW + 4)),
    ],
)
def test_failures_in_a_row_slow_a_lane_and_one_success_frees_it(
    outcome: OutcomeKind, before: LaneHealth, expected: LaneHealth
) -> None:
    assert after(before, outcome, NOW, PAUSE, 0.0) == expected


def test_a_rest_that_was_reckoned_by_a_wrong_clock_does_not_last() -> None:
    assert bounded(SLOW, NOW, 300.0) == SLOW
    assert bounded(LaneHealth(2, NOW + 300), NOW, 300.0).not_before == NOW + 300
    assert bounded(LaneHealth(2, NOW + 301), NOW, 300.0) == LaneHealth(2)


@pytest.mark.parametrize("outcome", list(OutcomeKind))
def test_no_outcome_takes_back_an_operators_pause(outcome: OutcomeKind) -> None:
    assert after(replace(SLOW, paused=True), outcome, NOW, PAUSE, 0.0).paused
