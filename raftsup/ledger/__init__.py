"""The ledger: which wakes were seen, which turns are owed, running and ended.

One LMDB environment a state folder, one transaction a call, durable when the call returns.
Only this room knows LMDB.
"""

from __future__ import annotations

from raftsup.ledger.errors import LedgerError, LedgerUnavailable
from raftsup.ledger.ledger import Accepted, Ledger, open_ledger
from raftsup.ledger.queries import Latest
from raftsup.ledger.schema import Counts
from raftsup.ledger.store import stopped_writer

__all__ = ["Accepted", "Counts", "Latest", "Ledger", "LedgerError", "LedgerUnavailable",
           "open_ledger", "stopped_writer"]  # fmt: skip
