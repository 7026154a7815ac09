"""Waiting: for a condition, looked at again and again, and for the first of several futures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T],
    timeout: float,
    every: float = 0.02,
    waiting: Callable[[float], None] = lambda seconds: None,
) -> T:
    """Looks at ``condition`` each ``every`` seconds until it is true, for at most ``timeout``
    seconds; what it said last. ``waiting`` is told, at each look, for how many seconds.
    """
    begun = time.monotonic()
    while not (said := condition()):
        waited = time.monotonic() - begun
        if waited > timeout:
            break
        waiting(waited)
        time.sleep(every)
    return said


async def first_of(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Returns when one of ``futures`` is done, or after ``timeout`` seconds; ends none of them."""
    await asyncio.wait(set(futures), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
