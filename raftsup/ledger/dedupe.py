"""What makes a wake a duplicate: its delivery was seen before, or its message has a turn already.

Deliveries: which identities of an account were seen, and when (``SEEN``, ``SEEN_ORDER``). Entries
are removed in the order of arrival, a few with each accept: the expired ones, and those beyond the
account's share. One that has expired and is still there makes no duplicate.

Messages: the same ``messageId`` owes no second turn while one is open. ``ATTACHED`` lists the
messages of a turn for as long as its record is kept; ``MESSAGES`` leads from a message to the one
turn that is queued or running for it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Protocol

from raftsup.ledger.schema import AccountStats, Seen, Table, pack_number, pack_seen, unpack_seen
from raftsup.ledger.transaction import Transaction

#: Entries that one accept may remove. More than the one it adds, so that a backlog shrinks.
REMOVALS = 4


class Limits(Protocol):
    """How long an account's deliveries are remembered, in seconds, and how many of them."""

    @property
    def ttl(self) -> float: ...

    @property
    def max_entries(self) -> int: ...


def is_current(seen: Seen, now: float, ttl: float) -> bool:
    """Whether the entry still makes a duplicate.

    A clock that was set back a little makes entries of the near future: they count. One further
    ahead than ``ttl`` was written under a wrong clock: it must not stand for years.
    """
    return abs(now - seen.at) < ttl


def find(tx: Transaction, identity: bytes, now: float, ttl: float) -> Seen | None:
    data = tx.get(Table.SEEN, identity)
    seen = unpack_seen(data) if data is not None else None
    return seen if seen is not None and is_current(seen, now, ttl) else None


def remember(
    tx: Transaction, account_key: bytes, stats: AccountStats, identity: bytes, turn: int, now: float
) -> AccountStats:
    """``identity`` is seen from ``now`` on; an expired entry for it is replaced."""
    old = tx.get(Table.SEEN, identity)
    if old is not None:
        stats = _remove(tx, account_key, stats, identity, unpack_seen(old).sequence)
    tx.add(Table.SEEN, identity, pack_seen(Seen(now, turn, stats.sequence)))
    tx.add(Table.SEEN_ORDER, account_key + pack_number(stats.sequence), identity)
    return replace(stats, seen=stats.seen + 1, sequence=stats.sequence + 1)


def forget(
    tx: Transaction,
    account_key: bytes,
    stats: AccountStats,
    now: float,
    limits: Limits,
    most: int = REMOVALS,
) -> AccountStats:
    """Removes at most ``most`` of the account's oldest entries that have had their time."""
    for _, identity in list(islice(tx.scan(Table.SEEN_ORDER, account_key), most)):
        data = tx.get(Table.SEEN, identity)
        seen = unpack_seen(data) if data is not None else Seen(0.0, 0, 0)
        if stats.seen <= limits.max_entries and is_current(seen, now, limits.ttl):
            break
        stats = _remove(tx, account_key, stats, identity, seen.sequence)
    return stats


def _remove(
    tx: Transaction, account_key: bytes, stats: AccountStats, identity: bytes, sequence: int
) -> AccountStats:
    tx.remove(Table.SEEN, identity)
    tx.remove(Table.SEEN_ORDER, account_key + pack_number(sequence))
    return replace(stats, seen=stats.seen - 1)


def open_message(tx: Transaction, number: bytes, message: bytes) -> None:
    """The queued turn ``number`` is about ``message`` from now on."""
    tx.add(Table.MESSAGES, message, number)
    tx.add(Table.ATTACHED, number + message)


def close_messages(tx: Transaction, number: bytes) -> None:
    """The turn has ended: who sends its messages again has not been read."""
    for message in messages_of(tx, number):
        tx.remove(Table.MESSAGES, message)


def reopen_messages(tx: Transaction, number: bytes) -> None:
    """The turn is owed again, and with it its messages, but for those owed to another since."""
    for message in messages_of(tx, number):
        if tx.get(Table.MESSAGES, message) is None:
            tx.add(Table.MESSAGES, message, number)
        else:
            tx.remove(Table.ATTACHED, number + message)


def forget_messages(tx: Transaction, number: bytes) -> None:
    """The record of the ended turn is swept."""
    for message in messages_of(tx, number):
        tx.remove(Table.ATTACHED, number + message)


def is_about(tx: Transaction, number: bytes, message: bytes) -> bool:
    return tx.get(Table.ATTACHED, number + message) is not None


def detach(tx: Transaction, number: bytes, message: bytes) -> None:
    """The ended turn is no longer about ``message``: it is owed to another."""
    tx.remove(Table.ATTACHED, number + message)


def messages_of(tx: Transaction, number: bytes) -> list[bytes]:
    return [key[len(number) :] for key, _ in tx.scan(Table.ATTACHED, number)]
