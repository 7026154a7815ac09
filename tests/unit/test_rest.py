"""How long a seat rests."""

from __future__ import annotations

import asyncio

from raftsup.backoff import Backoff
from raftsup.runners.cooldown import Rest


def test_a_rest_tells_why_ends_by_itself_and_says_so() -> None:
    async def story() -> None:
        changed = asyncio.Event()
        rest = Rest(Backoff(base=0.01, cap=0.02), changed.set)
        assert rest.reason() == ""
        rest.failed("the agent died")
        assert rest.reason().startswith("the agent died; the next start is at ")
        assert changed.is_set()
        changed.clear()
        await asyncio.wait_for(changed.wait(), 5)
        assert rest.reason() == ""

    asyncio.run(story())


def test_a_rest_grows_until_the_agent_does_its_work() -> None:
    async def story() -> None:
        rest = Rest(Backoff(base=1.0, cap=300.0, jitter=0.0), lambda: None)
        assert [rest.failed("it died") for _ in range(3)] == [1.0, 2.0, 4.0]
        assert ", 3 times in a row; " in rest.reason()
        rest.recovered()
        assert rest.reason() == ""
        assert rest.failed("it died") == 1.0
        rest.close()
        assert rest.reason() == ""

    asyncio.run(story())
