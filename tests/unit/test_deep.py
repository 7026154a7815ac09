"""Which processes are orphans: a rule over a table of processes."""

from __future__ import annotations

import socket

import pytest

from raftsup.ops.checks.machine import _listens, orphans
from raftsup.ops.checks.processes import Process

BRIDGE = ["raft", "--profile", "support", "agent", "bridge", "--wake-channel-endpoint"]
URL, GONE = "http://127.0.0.1:1/wake", "http://127.0.0.1:2/wake"


def found(*processes: tuple[int, int, list[str]]) -> list[tuple[str, int | None]]:
    table = {pid: Process(pid, parent, tuple(argv)) for pid, parent, argv in processes}
    return [
        (other.facts["kind"], other.facts["pid"])
        for other in orphans(table, lambda url: url == URL)
    ]


def test_a_whole_host_has_no_orphans() -> None:
    assert not found(
        (1, 0, ["init"]),
        (2, 1, ["python", "-m", "raftsup", "up"]),
        (3, 2, ["raftsup: accounts:support"]),
        (4, 3, ["raftsup: bridge of support"]),
        (5, 4, [*BRIDGE, URL]),
        (6, 2, ["raftsup: dispatcher"]),
        (7, 6, ["raftsup: turn 3 of support"]),
    )


def test_a_worker_under_a_stock_supervisord_is_no_orphan() -> None:
    supervisord = (2, 1, ["python", "/usr/bin/supervisord", "-n"])
    assert not found(supervisord, (3, 2, ["raftsup: accounts:support"]))


def test_a_shim_whose_owner_is_gone_is_one() -> None:
    assert found((1, 0, ["init"]), (4, 1, ["raftsup: bridge of support"])) == [("orphan", 4)]
    assert found((4, 99, ["raftsup: shim"])) == [("orphan", 4)]


def test_a_bridge_is_one_only_if_nothing_listens_at_its_endpoint() -> None:
    init = (1, 0, ["init"])
    assert not found(init, (5, 1, [*BRIDGE, URL]))
    assert found(init, (5, 1, [*BRIDGE, GONE])) == [("orphaned bridge", 5)]


def test_a_bridge_behind_a_wrapper_is_told_once() -> None:
    wrapper = (5, 1, ["sh", "/usr/bin/raft", *BRIDGE[1:], GONE])
    assert found(wrapper, (6, 5, ["node", *BRIDGE[1:], GONE])) == [("orphaned bridge", 5)]


def test_a_command_line_that_only_speaks_of_bridges_is_none() -> None:
    assert not found((5, 1, ["grep", "agent bridge", "--wake-channel-endpoint"]))
    assert not found((5, 1, [*BRIDGE]))


def test_another_users_command_line_neither_breaks_the_look_nor_sends_it_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(socket, "create_connection", lambda place, timeout: asked.append(place))
    assert not _listens("http://[")
    assert not _listens("http://127.0.0.1:x/wake")
    assert _listens("http://192.0.2.1:80/wake")
    assert not asked
