"""What a parent writes to its dispatcher is what the dispatcher reads."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from raftsup.config.errors import ExternalText
from raftsup.dispatcher.config_pipe import ConfigReceiver, DrainWithoutDeadline, Letter, written
from tests.unit.config_trees import config, raft


@pytest.fixture
def pipe() -> Iterator[tuple[ConfigReceiver, int]]:
    reading, writing = os.pipe()
    yield ConfigReceiver(reading), writing
    os.close(reading)


def letters() -> list[Letter]:
    """A config with everything that a config can hold: keys from outside, frozen mappings."""
    agent = {"kind": "command", "command": ["agent"], "env": {"KEY": "${KEY}"}}
    tree = raft({"accounts": {"support": {"profile": "p", "agent": agent}}})
    return [config(tree, {"KEY": "secret"}), DrainWithoutDeadline()]


def test_letters_arrive_whole_and_in_order_however_they_are_cut(
    pipe: tuple[ConfigReceiver, int],
) -> None:
    inbox, writing = pipe
    sent, heard = letters(), list[Letter]()
    for byte in b"".join(map(written, sent)):
        os.write(writing, bytes([byte]))
        heard += inbox.letters()
    assert heard == sent
    agent = heard[0].accounts[0].agent  # type: ignore[union-attr]
    assert isinstance(agent.env["KEY"], ExternalText)  # type: ignore[union-attr]
    assert agent.env["KEY"].written == "${KEY}", "it stays masked"  # type: ignore[union-attr]
    os.close(writing)


def test_an_empty_inbox_waits_for_nothing_and_tells_a_parent_that_is_gone(
    pipe: tuple[ConfigReceiver, int],
) -> None:
    inbox, writing = pipe
    assert list(inbox.letters()) == []
    assert not inbox.closed
    os.write(writing, written(DrainWithoutDeadline()))
    os.close(writing)
    assert list(inbox.letters()) == [DrainWithoutDeadline()]
    assert inbox.closed
