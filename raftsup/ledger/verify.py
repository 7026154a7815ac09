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
    load_tally,
    load_turn,
    pack_number,
    place,
    unpack_number,
    unpack_seen,
)
from raftsup.ledger.transaction import View
from raftsup.turn import ENDED, Turn

#: From an account's name to its key.
KeyOf = Callable[..., bytes]


def contradictions(view: View, key_of: KeyOf) -> Iterator[str]:
    """Each in words. Reads the whole ledger."""
    turns: dict[int, Turn] = {}
    for key, data in view.scan(Table.TURNS):
        turn = load_turn(data)
        turns[turn.id] = turn
        if key != pack_number(turn.id):
            yield f"turn {turn.id}: its record stands under another number"
    last = unpack_number(view.get(Table.META, LAST_TURN) or pack_number(0))
    if turns and max(turns) > last:
        yield f"turn {max(turns)} is above the last number given out, {last}"
    yield from _places(view, key_of, turns)
    yield from _messages(view, turns)
    yield from _seen(view, last)
    yield from _tallies(view, key_of, turns)
    for key, data in view.scan(Table.LANES):
        lane, _ = load_lane(data)
        if key != key_of("", "lane", lane):
            yield f"lane {lane}: its record stands under another name"


def _places(view: View, key_of: KeyOf, turns: dict[int, Turn]) -> Iterator[str]:
    wanted = {place(key_of(turn.account), turn): turn for turn in turns.values()}
    found = {key for key, _ in view.scan(Table.TURN_INDEX)}
    for key in wanted.keys() - found:
        yield f"turn {wanted[key].id} is {wanted[key].state} and not listed as that"
    for key in found - wanted.keys():
        yield f"place {key.hex()}: listed, and no turn stands there"


def _messages(view: View, turns: dict[int, Turn]) -> Iterator[str]:
    opened = {number + message for message, number in view.scan(Table.MESSAGES)}
    attached = {key for key, _ in view.scan(Table.ATTACHED)}
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


def _seen(view: View, last: int) -> Iterator[str]:
    ordered = {identity: key for key, identity in view.scan(Table.SEEN_ORDER)}
    for identity, data in view.scan(Table.SEEN):
        seen = unpack_seen(data)
        key = ordered.pop(identity, None)
        if key is None or unpack_number(key[-8:]) != seen.sequence:
            yield f"seen entry {identity.hex()}: it will never expire, its order is lost"
        if not 0 < seen.turn <= last:
            yield f"seen entry {identity.hex()}: it belongs to turn {seen.turn}, never given out"
    for identity in ordered:
        yield f"seen entry {identity.hex()}: it has an order and no record"


def _tallies(view: View, key_of: KeyOf, turns: dict[int, Turn]) -> Iterator[str]:
    recounted: dict[str, Counts] = {}
    for turn in turns.values():
        recounted[turn.account] = recounted.get(turn.account, Counts()).shifted(turn.state, 1)
    entries = Counter(key[:-8] for key, _ in view.scan(Table.SEEN_ORDER))
    ranks = {key[:-8]: unpack_number(key[-8:]) for key, _ in view.scan(Table.SEEN_ORDER)}
    for key, data in view.scan(Table.ACCOUNTS):
        tally = load_tally(data)
        counts = tally.counts
        if key != key_of(tally.account):
            yield f"account {tally.account}: its record stands under another name"
        found = recounted.pop(tally.account, Counts())
        kept = replace(
            counts,
            accepted=0,
            duplicates=0,
            asked=0,
            done=counts.done - tally.swept.done,
            failed=counts.failed - tally.swept.failed,
            cancelled=counts.cancelled - tally.swept.cancelled,
        )
        if kept != found:
            yield f"account {tally.account}: counts {kept}, its turns say {found}"
        if counts.accepted + counts.asked != counts.queued + counts.running + counts.ended:
            yield f"account {tally.account}: what it was owed is not the sum of its turns: {counts}"
        if tally.seen != entries.pop(key, 0):
            yield f"account {tally.account}: it counts {tally.seen} seen entries, and has others"
        if ranks.get(key, -1) >= tally.sequence:
            yield f"account {tally.account}: a seen entry is ahead of its order"
    for account in recounted:
        yield f"account {account}: it has turns and no record"
    for key in entries:
        yield f"account {key.hex()}: it has seen entries and no record"
