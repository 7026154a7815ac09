"""The simulated server, asked as the CLI asks the true one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftsup.sim.server import RunningWorkspace, running_workspace

API = "/internal/agent-api"


@pytest.fixture
def raft(tmp_path: Path) -> Iterator[RunningWorkspace]:
    with running_workspace(["support", "sales"], tmp_path, keepalive=0.2) as running:
        yield running


def connection(raft: RunningWorkspace) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(raft.url.removeprefix("http://"), timeout=10)


def headers(raft: RunningWorkspace, **changed: str) -> dict[str, str]:
    agent = raft.workspace.find("support")
    return {
        "authorization": f"Bearer {agent.token}",
        "x-agent-id": agent.id,
        "x-raft-client": "cli",
        "x-raft-client-capabilities": "manual-context-v1",
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }


def ask(
    raft: RunningWorkspace, path: str, body: object = None, **changed: str
) -> tuple[int, dict[str, Any]]:
    """Status and JSON; a ``body`` makes it a POST."""
    asked = connection(raft)
    given = None if body is None else json.dumps(body)
    asked.request("GET" if body is None else "POST", API + path, given, headers(raft, **changed))
    answer = asked.getresponse()
    return answer.status, json.loads(answer.read())


def test_since_latest_gives_all_that_is_pending(raft: RunningWorkspace) -> None:
    empty = (200, {"wake_hints": [], "last_hint_seq": None, "has_more": False})
    assert ask(raft, "/wake-hints?since=latest") == ask(raft, "/wake-hints") == empty
    seqs = [raft.workspace.post("support", "x").seq for _ in range(2)]
    _, page = ask(raft, "/wake-hints?since=latest&limit=1")
    assert [hint["seq"] for hint in page["wake_hints"]] == seqs[:1]
    assert (page["last_hint_seq"], page["has_more"]) == (seqs[0], True)
    _, page = ask(raft, f"/wake-hints?since={seqs[1]}")
    assert (page["wake_hints"], page["last_hint_seq"]) == ([], seqs[1])


@pytest.mark.parametrize("since", ["", "?since=latest", "?since=0"])
def test_a_stream_says_connected_then_what_is_pending_then_that_it_lives(
    raft: RunningWorkspace, since: str
) -> None:
    pending = raft.workspace.post("support", "x")
    asked = connection(raft)
    asked.request("GET", f"{API}/wake-hints/stream{since}", headers=headers(raft))
    stream = asked.getresponse()
    said = [stream.readline().decode().rstrip() for _ in range(8)]
    assert said[:5] == [": connected", "", "event: wake-hint", f"id: {pending.seq}", said[4]]
    assert json.loads(said[4].removeprefix("data: "))["message_id"] == pending.id
    assert said[5:] == ["", ": ka", ""]
    asked.close()
