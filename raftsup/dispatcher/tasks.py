"""The tasks under way in a dispatcher, of which none may break unnoticed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from typing import Any

from raftsup import exit_codes
from raftsup.log import say

LOG = logging.getLogger("raftsup.dispatcher")


class Tasks:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have ``work`` done beside the others. If it raises, the process ends."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def wait(self, seconds: float | None = None) -> None:
        """Until all are done, for at most ``seconds`` (None: as long as it takes)."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # A turn may be stranded by it; a new dispatcher finds every one of them.
            LOG.critical(say("dispatcher.broke", reason=repr(error)), exc_info=error)
            os._exit(exit_codes.FAILED)
