"""A ledger that this process can never write again costs the process, not the work."""

from __future__ import annotations

import asyncio
import os

import lmdb
import pytest

from raftsup import exit_codes
from raftsup.dispatcher.dispatcher import Dispatcher
from raftsup.ledger import LedgerUnavailable
from raftsup.ledger.store import Store


class Ended(Exception):
    pass


def test_only_a_panicked_environment_is_lost_for_good() -> None:
    store = object.__new__(Store)
    store.path = None  # type: ignore[assignment]
    assert store._unavailable(lmdb.PanicError("meta page")).lasting
    assert not store._unavailable(lmdb.DiskError("no space")).lasting


def test_the_dispatcher_ends_where_only_a_new_process_can_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end(code: int) -> None:
        raise Ended(code)

    def write() -> None:
        raise LedgerUnavailable("panicked", lasting=True)

    monkeypatch.setattr(os, "_exit", end)
    dispatcher = object.__new__(Dispatcher)
    with pytest.raises(Ended) as ended:
        asyncio.run(dispatcher._written(write))
    assert ended.value.args == (exit_codes.FAILED,)
