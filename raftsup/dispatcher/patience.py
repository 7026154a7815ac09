"""Writing to a ledger that cannot take it just now."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import TypeVar

from raftsup import exit_codes
from raftsup.ledger import LedgerUnavailable
from raftsup.log import say

T = TypeVar("T")
LOG = logging.getLogger("raftsup.dispatcher")
#: Seconds between tries.
AGAIN = 0.5


async def patiently(write: Callable[[], T]) -> T:
    """What ``write`` gives, tried again for as long as it raises ``LedgerUnavailable``.

    Where only a new process can help, this one ends: its turns are then owed again.
    """
    while True:
        try:
            return write()
        except LedgerUnavailable as error:
            LOG.error(say("ledger.unavailable", reason=str(error)))
            if error.lasting:
                os._exit(exit_codes.FAILED)
            await asyncio.sleep(AGAIN)
