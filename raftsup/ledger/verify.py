"""``raftsup ledger verify``: recomputes what the ledger keeps twice and compares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from raftsup.ledger.schema import (
    LAST_TURN,
    Counts,
    Table,
    load_lane,
    load_stats,
    load_turn,
    pack_number,
    turn_key,
    unpack_number,
    unpack_seen,
)
from raftsup.ledger.transaction import Transaction
from raftsup.turn import ENDED, Turn

#: From an account's name to its key.
KeyOf = Callable[..., bytes]


def contradictions(tx: Transaction, key_of: KeyOf) -> Iterator[str]:
    """Each in words. Reads the whole ledger."""
    turns: dict[int, Turn] = {}
    for key, data in tx.scan(Table.TURNS):
        turn = load_turn(data)
        turns[turn.id] = turn
        if key != pack_number(turn.id):
            yield f"turn {turn.id}: its record stands under another number"
    last = unpack_number(tx.get(Table.META, LAST_TURN) or pack_number(0))
    if turns and max(turns) > last:
        yield f"turn {max(turns)} is above the last number given out, {last}"
    yield from _turn_index(tx, key_of, turns)
    yield from _messages(tx, turns)
    yield from _seen(tx, last)
    yield from _stats(tx, key_of, turns)
    for key, data in tx.scan(Table.LANES):
        lane, _ = load_lane(data)
        if key != key_of("", "lane", lane):
            yield f"lane {lane}: its record stands under another name"


def _turn_index(tx: Transaction, key_of: KeyOf, turns: dict[int, Turn]) -> Iterator[str]:
    wanted = {turn_key(key_of(turn.account), turn): turn for turn in turns.values()}
    found = {key for key, _ in tx.scan(Table.TURN_INDEX)}
    for key in wanted.keys() - found:
        yield f"turn {wanted[key].id} is {wanted[key].state} and not listed as that"
    for key in found - wanted.keys():
        yield f"place {key.hex()}: listed, and no turn stands there"


def _messages(tx: Transaction, turns: dict[int, Turn]) -> Iterator[str]:
    opened = {number + message for message, number in tx.scan(Table.MESSAGES)}
    attached = {key for key, _ in tx.scan(Table.ATTACHED)}
    for key in opened - attached:
        yield f"turn {unpack_number(key[:8])}: an open message is listed only by message"
    for key in attached:
        turn = turns.get(unpack_number(key[:8]))
        if turn is not None and turn.state not in ENDED and key not in opened:
            yield f"turn {turn.id}: an open message is listed only by turn"
    for number in sorted({unpack_number(key[:8]) for key in opened | attached} - turns.keys()):
        yield f"turn {number}: it has a message and no record"
    for number in sorted({unpack_number(key[:8]) for key in opened} & turns.keys()):
        if turns[number].state in ENDED:
            yield f"turn {number} is {turns[number].state} and still has an open message"


def _seen(tx: Transaction, last: int) -> Iterator[str]:
    ordered = {identity: key for key, identity in tx.scan(Table.SEEN_ORDER)}
    for identity, data in tx.scan(Table.SEEN):
        seen = unpack_seen(data)
        key = ordered.pop(identity, None)
        if key is None or unpack_number(key[-8:]) != seen.sequence:
            yield f"seen entry {identity.hex()}: it will never expire, its order is lost"
        if not 0 < seen.turn <= last:
            yield f"seen entry {identity.hex()}: it belongs to turn {seen.turn}, never given out"
    for identity in ordered:
        yield f"seen entry {identity.hex()}: it has an order and no record"


def _stats(tx: Transaction, key_of: KeyOf, turns: dict[int, Turn]) -> Iterator[str]:
    recounted: dict[str, Counts] = {}
    for turn in turns.values():
        recounted[turn.account] = recounted.get(turn.account, Counts()).shifted(turn.state, 1)
    entries = Counter(key[:-8] for key, _ in tx.scan(Table.SEEN_ORDER))
    ranks = {key[:-8]: unpack_number(key[-8:]) for key, _ in tx.scan(Table.SEEN_ORDER)}
    for key, data in tx.scan(Table.ACCOUNTS):
        stats = load_stats(data)
        counts = stats.counts
        if key != key_of(stats.account):
            yield f"account {stats.account}: its record stands under another name"
        found = recounted.pop(stats.account, Counts())
        kept = replace(
            counts,
            accepted=0,
            duplicates=0,
            asked=0,
            done=counts.done - stats.swept.done,
            failed=counts.failed - stats.swept.failed,
            cancelled=counts.cancelled - stats.swept.cancelled,
        )
        if kept != found:
            yield f"account {stats.account}: counts {kept}, its turns say {found}"
        if counts.accepted + counts.asked != counts.queued + counts.running + counts.ended:
            yield f"account {stats.account}: what it was owed is not the sum of its turns: {counts}"
        if stats.seen != entries.pop(key, 0):
            yield f"account {stats.account}: it counts {stats.seen} seen entries, and has others"
        if ranks.get(key, -1) >= stats.sequence:
            yield f"account {stats.account}: a seen entry is ahead of its order"
    for account in recounted:
        yield f"account {account}: it has turns and no record"
    for key in entries:
        yield f"account {key.hex()}: it has seen entries and no record"
