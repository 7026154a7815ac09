"""What the ledger raises."""

from __future__ import annotations

from raftsup.errors import RaftsupError


class LedgerError(RaftsupError):
    """The ledger cannot be used so: the message says which, why and what to do."""


class LedgerUnavailable(LedgerError):
    """The ledger cannot take a write now: nothing was recorded. Try again later.

    ``lasting``: never in this process; a new one must open the ledger again.
    """

    def __init__(self, message: str, retry_after_ms: int = 5_000, lasting: bool = False) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms
        self.lasting = lasting
