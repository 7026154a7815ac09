"""The ledger's tables as one transaction sees and changes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import lmdb

from raftsup.ledger.errors import LedgerError
from raftsup.ledger.schema import Table


@dataclass(frozen=True)
class Transaction:
    """The ledger as one transaction sees it. Each change checks that it changed something."""

    txn: lmdb.Transaction
    tables: dict[Table, lmdb._Database]

    def get(self, table: Table, key: bytes) -> bytes | None:
        value = self.txn.get(key, db=self.tables[table])
        return None if value is None else bytes(value)

    def add(self, table: Table, key: bytes, value: bytes = b"") -> None:
        if not self.txn.put(key, value, overwrite=False, db=self.tables[table]):
            raise self._contradiction(table, key, "exists already")

    def set(self, table: Table, key: bytes, value: bytes) -> None:
        if not self.txn.put(key, value, db=self.tables[table]):
            raise self._contradiction(table, key, "cannot be written")

    def remove(self, table: Table, key: bytes) -> None:
        if not self.txn.delete(key, db=self.tables[table]):
            raise self._contradiction(table, key, "is missing")

    def scan(
        self, table: Table, prefix: bytes = b"", start: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Entries from ``start`` on whose keys begin with ``prefix``, in key order."""
        with self.txn.cursor(db=self.tables[table]) as cursor:
            found = cursor.set_range(start or prefix) if start or prefix else cursor.first()
            while found:
                key, value = map(bytes, cursor.item())
                if not key.startswith(prefix):
                    return
                yield key, value
                found = cursor.next()

    def last(self, table: Table) -> Iterator[tuple[bytes, bytes]]:
        """All entries, last key first."""
        with self.txn.cursor(db=self.tables[table]) as cursor:
            for key, value in cursor.iterprev():
                yield bytes(key), bytes(value)

    def final(self, table: Table, prefix: bytes) -> bytes | None:
        """The last key that begins with ``prefix``; None if there is none."""
        with self.txn.cursor(db=self.tables[table]) as cursor:
            # No key has a tail of so many of the highest byte.
            beyond = cursor.set_range(prefix + b"\xff" * 32)
            key = bytes(cursor.key()) if (cursor.prev() if beyond else cursor.last()) else b""
        return key if key.startswith(prefix) and key else None

    def entries(self, table: Table) -> int:
        return int(self.txn.stat(self.tables[table])["entries"])

    def pages(self) -> int:
        """Pages that hold something."""
        stats = [self.txn.stat(db) for db in self.tables.values()]
        return sum(s["branch_pages"] + s["leaf_pages"] + s["overflow_pages"] for s in stats)

    @staticmethod
    def _contradiction(table: Table, key: bytes, what: str) -> LedgerError:
        return LedgerError(
            f"the ledger contradicts itself: {table} {key.hex()} {what}; nothing was changed."
            " Run `raftsup ledger verify`"
        )
