"""What the ledger's bytes mean: tables, keys, digests and records. Pure.

Records are JSON objects with a format version ``v``; index entries are packed numbers. Numbers in
keys are big-endian, so that LMDB's byte order is their order. Nothing that came off the wire is
stored: an identity and a message id become digests under a key of this ledger's own.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from raftsup.turn import ENDED, LaneHealth, State, Turn

FORMAT = 1
DIGEST_SIZE = 16


class Table(StrEnum):
    META = "meta"  # META_KEY: Meta; LAST_TURN: the last turn id given out
    TURNS = "turns"  # turn: record
    TURN_INDEX = "places"  # account, phase, end, turn: nothing. Each turn stands in one place
    SEEN = "seen"  # identity digest: Seen
    SEEN_ORDER = "seen_order"  # account, sequence: identity digest
    MESSAGES = "messages"  # message digest: its open turn
    ATTACHED = "attached"  # open turn, message digest: nothing
    ACCOUNTS = "accounts"  # account: AccountStats
    LANES = "lanes"  # lane: its health


META_KEY = b"ledger"
LAST_TURN = b"last turn"

QUEUED, RUNNING, OVER = b"q", b"r", b"z"
PHASES = {State.QUEUED: QUEUED, State.RUNNING: RUNNING} | dict.fromkeys(ENDED, OVER)


class WrongFormat(Exception):
    """A record is not of the format that this code reads."""


class Meta(NamedTuple):
    ledger_id: str
    digest_key: bytes


class Seen(NamedTuple):
    """One delivery identity: when it was first seen, the turn it belongs to, its rank."""

    at: float
    turn: int
    sequence: int


@dataclass(frozen=True)
class Counts:
    """Of one account, since the ledger began. ``failed`` includes ``timed_out``."""

    #: Wakes that owed a turn, and those that did not.
    accepted: int = 0
    duplicates: int = 0
    #: Turns owed to something else than a wake.
    asked: int = 0
    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def ended(self) -> int:
        return self.done + self.failed + self.cancelled

    def shifted(self, state: State, by: int) -> Counts:
        name = "failed" if state is State.TIMED_OUT else state.value
        return replace(self, **{name: getattr(self, name) + by})


@dataclass(frozen=True)
class AccountStats:
    """What the ledger keeps of an account besides its turns."""

    account: str
    counts: Counts = field(default_factory=Counts)
    #: Those ended turns of ``counts`` whose records are gone.
    swept: Counts = field(default_factory=Counts)
    #: Seen entries held, and the rank of the next.
    seen: int = 0
    sequence: int = 0


def digest(key: bytes, *parts: str) -> bytes:
    """A name for ``parts`` that does not tell them; JSON keeps the parts apart."""
    data = orjson.dumps(parts)
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE, key=key).digest()


def pack_number(number: int) -> bytes:
    return struct.pack(">Q", number)


def unpack_number(data: bytes) -> int:
    return int(struct.unpack(">Q", data)[0])


def turn_key(account_key: bytes, turn: Turn) -> bytes:
    """Where ``turn`` stands: queued and running ones by id, ended ones by their end."""
    # Big-endian IEEE 754 sorts by value as long as no time is negative.
    end = struct.pack(">dQ", max(turn.ended_at, 0.0), turn.id)
    return account_key + PHASES[turn.state] + end


def turn_key_after(account_key: bytes, phase: bytes, turn: int) -> bytes:
    return account_key + phase + struct.pack(">dQ", 0.0, turn + 1)


def parse_turn_key(key: bytes) -> tuple[float, int]:
    """End (Unix seconds) and turn id."""
    end, turn = struct.unpack(">dQ", key[-16:])
    return end, turn


def pack_seen(seen: Seen) -> bytes:
    return struct.pack(">dQQ", *seen)


def unpack_seen(data: bytes) -> Seen:
    return Seen(*struct.unpack(">dQQ", data))


def _record(data: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError:
        record = None
    version = record.pop("v", None) if isinstance(record, dict) else None
    if version != FORMAT:
        raise WrongFormat(f"format version {version}, this raftsup reads version {FORMAT}")
    return dict(record)


def dump_turn(turn: Turn) -> bytes:
    return orjson.dumps({"v": FORMAT, **vars(turn)})


def load_turn(data: bytes) -> Turn:
    record = _record(data)
    return Turn(**{**record, "state": State(record["state"])})


def dump_stats(stats: AccountStats) -> bytes:
    return orjson.dumps({"v": FORMAT, **vars(stats)})


def load_stats(data: bytes) -> AccountStats:
    record = _record(data)
    parts = {name: Counts(**record[name]) for name in ("counts", "swept")}
    return AccountStats(**{**record, **parts})


def dump_lane(lane: str, health: LaneHealth) -> bytes:
    return orjson.dumps({"v": FORMAT, "lane": lane, **vars(health)})


def load_lane(data: bytes) -> tuple[str, LaneHealth]:
    record = _record(data)
    lane = record.pop("lane")
    return lane, LaneHealth(**record)


def dump_meta(meta: Meta) -> bytes:
    return orjson.dumps({"v": FORMAT, "id": meta.ledger_id, "key": meta.digest_key.hex()})


def load_meta(data: bytes) -> Meta:
    record = _record(data)
    return Meta(record["id"], bytes.fromhex(record["key"]))
