"""The bridge's loop against a scripted server: what one chunk, one poll, one reconcile come to."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from raftsup.sim import timers, wire
from raftsup.sim.agent_api import AgentApi, ApiAnswer, read
from raftsup.sim.answer_class import Verdict
from raftsup.sim.bridge import Bridge, Options
from raftsup.sim.bridge_report import Identity, Reporter
from raftsup.sim.bridge_state import BridgeState, Hint
from raftsup.sim.cli_errors import CliError
from raftsup.sim.endpoint_calls import WakeEndpoint

JSON = {"content-type": "application/json"}
TIMES = timers.Timers(poll=0.001, reconcile=10, grace=30, fast_reconcile=1000)


class Server:
    """Streams ``chunk`` and ends; a poll after the last of ``pages`` finds nobody. Each page comes
    at a time.
    """

    fault_word = ""

    def __init__(self, chunk: bytes | None, pages: list[tuple[float, list[Hint]]]) -> None:
        self.chunk, self.pages, self.now = chunk, pages, 0.0

    def stream(self, since: int | str) -> wire.Stream:
        ours, theirs = socket.socketpair()
        theirs.close()
        if self.chunk is None:
            return wire.Stream(404, {}, ours, b"")
        return wire.Stream(200, {}, ours, self.chunk)

    def get(self, path: str, **query: object) -> ApiAnswer:
        if not self.pages:
            raise wire.Refused("nobody there")
        self.now, hints = self.pages.pop(0)
        return read(200, JSON, json.dumps({"wake_hints": hints}).encode())

    def post(self, path: str, body: object) -> ApiAnswer:
        raise wire.Refused("nobody there")


class Taking:
    """Takes every wake."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def wake(self, who: Identity, hint: Hint, *rest: object) -> tuple[dict[str, Any], Verdict]:
        self.taken.append(hint.get("seq"))
        return {}, Verdict(None, session="s")


@pytest.fixture
def endpoint() -> Iterator[Taking]:
    yield Taking()


def told(server: Server, endpoint: Taking, folder: Path) -> list[dict[str, Any]]:
    """What it says until the server is gone."""
    state = BridgeState(folder)
    bridge = Bridge(
        "p",
        "agent",
        cast("AgentApi", server),
        cast("WakeEndpoint", endpoint),
        None,
        state,
        Reporter(state, as_json=False),
        TIMES,
        Options(),
        clock=lambda: server.now,
    )
    with pytest.raises(CliError):
        bridge.run()
    lines = (folder / "bridge.log").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("data", ["{no", "null\nid: 7"])
def test_a_hint_that_cannot_be_read_is_a_lost_stream(
    tmp_path: Path, endpoint: Taking, data: str
) -> None:
    server = Server(f": ka\n\ndata: {data}\n\n".encode(), [])
    said = told(server, endpoint, tmp_path)
    [retry] = [e for e in said if e.get("type") == "bridge_retry"]
    assert retry["errorCode"] == "TypeError"
    assert retry["message"].startswith("wake-hint stream parse failed: ")


def test_events_of_other_names_make_no_pass_of_their_own(tmp_path: Path, endpoint: Taking) -> None:
    chunk = b'event: a\ndata: 1\n\nevent: b\ndata: 2\n\nid: 7\ndata: {"target": "#a"}\n\n'
    said = told(Server(chunk, []), endpoint, tmp_path)
    states = [e["state"] for e in said if e.get("type") == "agent_comms.lifecycle"]
    assert states == ["starting", "handoff_pending"]
    assert endpoint.taken == [7]


def test_a_regular_reconcile_leaves_out_what_was_just_injected(
    tmp_path: Path, endpoint: Taking
) -> None:
    """Hints without an id are told apart by their number."""
    first, second = {"seq": 1}, {"seq": 2}
    server = Server(None, [(8, [first]), (10, []), (10, [first, second])])
    said = told(server, endpoint, tmp_path)
    [peek] = [e for e in said if e.get("type") == "reconcile_peek"]
    assert (peek["pendingCount"], peek["reinjectedCount"], peek["skippedRecentCount"]) == (2, 1, 1)
    assert endpoint.taken == [1, 2]


def test_without_a_stream_what_was_left_is_sent_twice(tmp_path: Path, endpoint: Taking) -> None:
    """The pass that finds that there is no stream had sent it already."""
    (tmp_path / "wake-hints.jsonl").write_text('{"event_id": "e", "seq": 1}\n')

    class Busy(Taking):
        def wake(self, who: Identity, hint: Hint, *rest: object) -> tuple[dict[str, Any], Verdict]:
            super().wake(who, hint)
            return {}, Verdict("busy", "later")

    busy = Busy()
    told(Server(None, [(0, []), (0, [])]), busy, tmp_path)
    assert busy.taken == [1, 1]
