"""Waiting for a condition, and for the first of several futures."""

from __future__ import annotations

import asyncio

from raftsup.wait import first_of, until


def test_a_condition_is_looked_at_until_it_is_true() -> None:
    answers = iter([0, 0, 7])
    told: list[float] = []
    assert until(lambda: next(answers), 60.0, 0.001, told.append) == 7
    assert len(told) == 2 and told == sorted(told)


def test_at_the_deadline_the_last_answer_is_given_back_and_each_is_asked_once() -> None:
    asked: list[int] = []
    assert until(lambda: asked.append(1), 0.0) is None
    assert len(asked) >= 1


def test_the_first_of_several_ends_the_wait_and_the_others_go_on() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        one: asyncio.Future[None] = loop.create_future()
        two: asyncio.Future[None] = loop.create_future()
        loop.call_soon(two.set_result, None)
        await first_of(one, two)
        assert two.done() and not one.done()
        await first_of(one, timeout=0.001)
        assert not one.done()

    asyncio.run(story())
