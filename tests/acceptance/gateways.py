"""Fake Gateways for tests of a whole host, on a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.integration.fake_gateway import FakeGateway


@dataclass
class Gateways:
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _started: list[FakeGateway] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def served(cls) -> Iterator[Gateways]:
        """A place where they run; they end with it."""
        gateways = cls()
        thread = threading.Thread(target=gateways._loop.run_forever)
        thread.start()
        try:
            yield gateways
        finally:
            for fake in gateways._started:
                asyncio.run_coroutine_threadsafe(fake.stop(), gateways._loop).result(20)
            gateways._loop.call_soon_threadsafe(gateways._loop.stop)
            thread.join()
            gateways._loop.close()

    def start(self, fake: FakeGateway) -> None:
        """Have it listen, at its ``port`` (0: any)."""
        self._started.append(fake)
        asyncio.run_coroutine_threadsafe(fake.start(), self._loop).result(20)
