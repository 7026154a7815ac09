"""What makes a wake a duplicate: the deliveries that were seen, and the messages under way.

Which identities of an account were seen, and since when: entries leave in the order in which they
came, a few with each accept: the expired ones, and those beyond the account's share. One that is
expired and still there does not count.

The same ``messageId`` owes no second turn while one is open. ``ATTACHED`` lists a turn's messages
for as long as its record is kept; ``MESSAGES`` leads from a message to the one turn that is queued
or running for it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from raftsup.ledger.schema import (
    AccountStats,
    Seen,
    Table,
    pack_number,
    pack_seen,
    unpack_seen,
)
from raftsup.ledger.transaction import View
from raftsup.wake import Dedupe

#: Entries that one accept may remove. More than the one it adds, so that a backlog shrinks.
REMOVALS = 4


def counts(seen: Seen, now: float, ttl: float) -> bool:
    """Whether the entry still makes a duplicate.

    A clock that was set back a little makes entries of the near future: they count. One further
    ahead than ``ttl`` was written under a wrong clock: it must not stand for years.
    """
    return abs(now - seen.at) < ttl


def find(view: View, identity: bytes, now: float, ttl: float) -> Seen | None:
    data = view.get(Table.SEEN, identity)
    seen = unpack_seen(data) if data is not None else None
    return seen if seen is not None and counts(seen, now, ttl) else None


def remember(
    view: View, account_key: bytes, tally: AccountStats, identity: bytes, turn: int, now: float
) -> AccountStats:
    """``identity`` is seen from ``now`` on; an expired entry for it is replaced."""
    old = view.get(Table.SEEN, identity)
    if old is not None:
        tally = _remove(view, account_key, tally, identity, unpack_seen(old).sequence)
    view.add(Table.SEEN, identity, pack_seen(Seen(now, turn, tally.sequence)))
    view.add(Table.SEEN_ORDER, account_key + pack_number(tally.sequence), identity)
    return replace(tally, seen=tally.seen + 1, sequence=tally.sequence + 1)


def forget(
    view: View, account_key: bytes, tally: AccountStats, now: float, dedupe: Dedupe
) -> AccountStats:
    """Removes at most ``REMOVALS`` of the account's oldest entries that have had their time."""
    for _, identity in list(islice(view.scan(Table.SEEN_ORDER, account_key), REMOVALS)):
        data = view.get(Table.SEEN, identity)
        seen = unpack_seen(data) if data is not None else Seen(0.0, 0, 0)
        if tally.seen <= dedupe.max_entries and counts(seen, now, dedupe.ttl):
            break
        tally = _remove(view, account_key, tally, identity, seen.sequence)
    return tally


def _remove(
    view: View, account_key: bytes, tally: AccountStats, identity: bytes, sequence: int
) -> AccountStats:
    view.remove(Table.SEEN, identity)
    view.remove(Table.SEEN_ORDER, account_key + pack_number(sequence))
    return replace(tally, seen=tally.seen - 1)


def open_message(view: View, number: bytes, message: bytes) -> None:
    """The queued turn ``number`` is about ``message`` from now on."""
    view.add(Table.MESSAGES, message, number)
    view.add(Table.ATTACHED, number + message)


def close_messages(view: View, number: bytes) -> None:
    """The turn has ended: who sends its messages again has not been read."""
    for message in _messages_of(view, number):
        view.remove(Table.MESSAGES, message)


def reopen_messages(view: View, number: bytes) -> None:
    """The turn is owed again, and with it its messages, but for those owed to another since."""
    for message in _messages_of(view, number):
        if view.get(Table.MESSAGES, message) is None:
            view.add(Table.MESSAGES, message, number)
        else:
            view.remove(Table.ATTACHED, number + message)


def forget_messages(view: View, number: bytes) -> None:
    """The record of the ended turn is swept."""
    for message in _messages_of(view, number):
        view.remove(Table.ATTACHED, number + message)


def _messages_of(view: View, number: bytes) -> list[bytes]:
    return [key[len(number) :] for key, _ in view.scan(Table.ATTACHED, number)]
