"""The bridge as a process: what it sends, when it sends it again, how it ends."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from raftsup.sim.server import RunningWorkspace, running_workspace
from tests.integration.sim_bridge import (
    CALM,
    QUICK,
    TOKEN,
    BridgeProcess,
    Endpoint,
    closing,
    wait_for,
)

STATE = Path("profiles", "support", "agent-comms-core", "agent-support", "default")
Bridges = Callable[..., BridgeProcess]


@pytest.fixture
def raft(tmp_path: Path) -> Iterator[RunningWorkspace]:
    with running_workspace(["support"], tmp_path, keepalive=0.1) as running:
        yield running


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with closing(Endpoint()) as made:
        yield made


@pytest.fixture
def bridges(tmp_path: Path, raft: RunningWorkspace, endpoint: Endpoint) -> Iterator[Bridges]:
    with ExitStack() as stack:

        def start(environ: Mapping[str, str] = CALM, **details: str | None) -> BridgeProcess:
            made = BridgeProcess(tmp_path, endpoint.url, environ, **details)  # type: ignore[arg-type]
            return stack.enter_context(closing(made))

        yield start


def test_a_message_becomes_one_wake_without_content(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges()
    bridge.listening()
    message = raft.workspace.post("support", "top secret")
    headers, body = wait_for(lambda: endpoint.wakes)[0]
    assert headers["x-raft-bridge-token"] == TOKEN
    assert headers["content-type"] == "application/json"
    assert headers["path"] == "/wake"
    assert body.pop("eventId").startswith("event_")
    assert body.pop("attemptId").startswith("attempt_")
    assert body.pop("coreSessionId").startswith("core_")
    assert body.pop("occurredAt").endswith("Z")
    assert body == {
        "schema": "raft-channel-wake.v1",
        "messageId": message.id,
        "agentId": "agent-support",
        "profile": "support",
        "adapterInstance": "default",
    }
    wait_for(lambda: endpoint.drains)
    assert bridge.states()[:4] == [
        "starting",
        "connected_replaying",
        "listening_idle",
        "handoff_pending",
    ]


def test_what_was_pending_before_its_start_is_delivered(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    ids = [raft.workspace.post("support", str(n)).id for n in range(60)]
    bridges()
    wait_for(lambda: len(endpoint.wakes) == 60)
    assert endpoint.messages() == ids
    assert endpoint.most_busy == 1


def test_a_pending_message_comes_again_once_at_a_heartbeat_with_fresh_ids(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges(QUICK)
    bridge.listening()
    raft.workspace.post("support", "x")
    wait_for(lambda: len(endpoint.wakes) == 2)
    first, again = (body for _, body in endpoint.wakes)
    differing = {k for k in first if first[k] != again[k]}
    assert differing == {"eventId", "attemptId", "occurredAt"}
    drains = endpoint.drains
    wait_for(lambda: endpoint.drains >= drains + 3)
    assert len(endpoint.wakes) == 2


def test_reconciliation_sends_again_for_as_long_as_a_message_is_unread(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges({**CALM, "RAFT_SIM_RECONCILE": "0.2"})
    raft.workspace.post("support", "x")
    wait_for(lambda: len(endpoint.wakes) >= 4)
    cursor = raft.workspace.pull("agent-support").cursor
    raft.workspace.pull("agent-support", cursor)
    wait_for(lambda: bridge.events()[-1].get("pendingCount") == 0)
    assert set(endpoint.messages()) == {"msg-1"}


def test_a_failed_hint_comes_again_soon_and_is_forgotten_after_success(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, tmp_path: Path
) -> None:
    endpoint.answer = (503, {"ok": False, "failureClass": "busy", "retryAfterMs": 60_000})
    bridge = bridges({**CALM, "RAFT_SIM_FAILED": "0.2"})
    raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.wakes)
    endpoint.answer = (202, {"runtimeSession": "s"})
    wait_for(lambda: len(endpoint.wakes) == 2)
    wait_for(lambda: (tmp_path / STATE / "wake-hints.jsonl").read_text() == "")
    outcomes = [e["failureClass"] for e in bridge.events() if e["type"] == "wake_attempt"]
    assert outcomes == ["busy", None]


def test_at_its_start_it_replays_what_failed_and_not_what_was_injected(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    first = bridges()
    raft.workspace.post("support", "good")
    wait_for(lambda: len(endpoint.wakes) == 1)
    first.listening()
    endpoint.answer = (500, {})
    raft.workspace.post("support", "bad")
    wait_for(lambda: len(endpoint.wakes) == 2)
    wait_for(lambda: first.states()[-2:] == ["handoff_pending", "listening_idle"])
    first.close()
    bridges().listening()
    assert endpoint.messages() == ["msg-1", "msg-2", "msg-2"]
    sessions = {body["coreSessionId"] for _, body in endpoint.wakes}
    assert len(sessions) == 1


def test_a_hint_in_flight_when_it_was_killed_is_sent_twice(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    endpoint.gate.clear()
    first = bridges()
    raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.wakes)
    first.close()
    endpoint.gate.set()
    bridges().listening()
    assert endpoint.messages() == ["msg-1"] * 3


def test_one_wake_at_a_time_and_no_drain_while_an_answer_is_owed(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges({**CALM, "RAFT_SIM_HEARTBEAT": "0.05"})
    bridge.listening()
    wait_for(lambda: endpoint.drains)
    endpoint.gate.clear()
    for n in range(3):
        raft.workspace.post("support", str(n))
    wait_for(lambda: endpoint.wakes)
    drains, asked_at = endpoint.drains, time.monotonic()
    wait_for(lambda: time.monotonic() > asked_at + 0.3)
    assert (endpoint.drains, len(endpoint.wakes)) == (drains, 1)
    endpoint.gate.set()
    wait_for(lambda: len(set(endpoint.messages())) == 3)
    assert endpoint.most_busy == 1


def test_an_endpoint_that_is_gone_does_not_end_the_bridge(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges()
    bridge.listening()
    endpoint.close()
    raft.workspace.post("support", "x")
    wait_for(lambda: [e for e in bridge.events() if e.get("failureClass") == "no_session"])
    assert bridge.process.poll() is None


def test_activity_of_the_host_reaches_the_server(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    nameless = {"schema": "raft-activity.v1", "eventId": "e0"}
    endpoint.activity = [nameless, {**nameless, "eventId": "e1", "hookEventName": "Stop"}]
    bridges()
    raft.workspace.post("support", "x")
    [record] = wait_for(raft.workspace.activity)
    assert (record["agent"], record["event"]["eventId"]) == ("agent-support", "e1")


def test_a_lost_stream_is_opened_again_and_nothing_is_missed(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges()
    bridge.listening()
    raft.fault("drop")
    raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.wakes)
    wait_for(lambda: [e for e in bridge.events() if e["type"] == "bridge_recovered"])
    assert [e["delayMs"] for e in bridge.events() if e["type"] == "bridge_retry"] == [200]


def test_a_silent_stream_is_given_up_for_a_poll(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges({**CALM, "RAFT_SIM_SILENCE": "0.05"})
    wait_for(lambda: bridge.states().count("connected_replaying") >= 3)
    assert bridge.process.poll() is None


@pytest.mark.parametrize("kind", ["error", "garbage", "reset"])
def test_it_survives_trouble_with_growing_waits(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, kind: str
) -> None:
    raft.fault(kind, count=3)
    bridge = bridges({**CALM, "RAFT_SIM_RETRY": "0.02", "RAFT_SIM_RETRY_CAP": "0.05"})
    bridge.listening()
    retries = [e["delayMs"] for e in bridge.events() if e["type"] == "bridge_retry"]
    assert retries == [20, 40, 50]


def test_a_refused_connection_at_the_first_retry_ends_it(
    raft: RunningWorkspace, bridges: Bridges
) -> None:
    bridge = bridges()
    bridge.listening()
    raft.refuse()
    assert bridge.ended() == 1
    assert "Code: SERVER_UNREACHABLE" in bridge.stderr()
    raft.listen()
    bridges().listening()


def test_a_revoked_credential_ends_it_and_frees_the_lock(
    raft: RunningWorkspace, bridges: Bridges, tmp_path: Path
) -> None:
    bridge = bridges()
    bridge.listening()
    raft.fault("revoke", agent="support")
    assert bridge.ended() == 1
    assert bridge.states()[-1] == "auth_revoked"
    assert bridge.events()[-1]["errorCode"] == "AUTH_REVOKED"
    assert not (tmp_path / STATE / "bridge.lock").exists()


def test_any_4xx_of_the_wake_hints_ends_it(raft: RunningWorkspace, bridges: Bridges) -> None:
    raft.fault("error", status=418)
    assert bridges().ended() == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("in_a_post", [False, True])
def test_a_signal_ends_it_at_once_and_leaves_the_lock(
    raft: RunningWorkspace,
    endpoint: Endpoint,
    bridges: Bridges,
    tmp_path: Path,
    number: signal.Signals,
    in_a_post: bool,
) -> None:
    bridge = bridges()
    bridge.listening()
    if in_a_post:
        endpoint.gate.clear()
        raft.workspace.post("support", "x")
        wait_for(lambda: endpoint.wakes)
    bridge.process.send_signal(number)
    assert bridge.ended(1.0) == -number
    owner = json.loads((tmp_path / STATE / "bridge.lock").read_text())
    assert owner["pid"] == bridge.process.pid
    assert owner["createdAt"].endswith("Z")


def test_a_lock_of_a_dead_bridge_is_taken_over(bridges: Bridges) -> None:
    first = bridges()
    first.listening()
    first.close()
    bridges().listening()


@pytest.mark.parametrize(
    "text", ["", "{corrupt", f'{{"pid": {os.getpid()}}}'], ids=["empty", "corrupt", "living"]
)
def test_a_lock_that_may_be_held_ends_the_next_bridge(
    raft: RunningWorkspace, bridges: Bridges, tmp_path: Path, text: str
) -> None:
    path = tmp_path / STATE / "bridge.lock"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    bridge = bridges()
    assert bridge.ended() == 1
    assert "Code: BRIDGE_ALREADY_RUNNING" in bridge.stderr()
    assert f"Lock: {path}" in bridge.stderr()
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("code", "details", "environ"),
    [
        ("BRIDGE_EXPECTED_AGENT_REQUIRED", {"expected": None}, {}),
        ("BRIDGE_IDENTITY_MISMATCH", {"expected": "agent-other"}, {}),
        ("PROFILE_FILE_UNREADABLE", {"profile": "nobody"}, {}),
        ("PROFILE_FILE_UNREADABLE", {"profile": "../support"}, {}),
        ("PROFILE_MANAGED_CONTEXT_CONFLICT", {}, {"SLOCK_AGENT_ID": "a"}),
        ("PROFILE_MANAGED_CONTEXT_CONFLICT", {}, {"RAFT_AGENT_ID": "a"}),
        ("BRIDGE_CHANNEL_TOKEN_REQUIRED", {}, {"RAFT_CHANNEL_TOKEN": ""}),
    ],
)
def test_a_start_that_cannot_be_right_is_refused_with_a_code(
    bridges: Bridges, code: str, details: dict[str, str | None], environ: dict[str, str]
) -> None:
    bridge = bridges({**CALM, **environ}, **details)
    assert bridge.ended() == 1
    assert bridge.stderr().startswith("Error: ")
    assert f"\nCode: {code}\n" in bridge.stderr()
    if code.startswith("BRIDGE_"):
        assert bridge.events()[-1]["errorCode"] == code


def test_it_dies_as_in_the_field_when_the_server_says_so(
    raft: RunningWorkspace, bridges: Bridges, tmp_path: Path
) -> None:
    bridge = bridges()
    bridge.listening()
    raft.fault("bridge", agent="support", count=1, spec="die")
    assert bridge.ended() == 1
    assert bridge.stderr() == "Error: Unexpected error: terminated\nCode: INTERNAL_BUG\n"
    assert (tmp_path / STATE / "bridge.lock").exists()
    bridges().listening()


def test_a_fault_in_the_environment_happens_after_its_delay(bridges: Bridges) -> None:
    bridge = bridges({**CALM, "RAFT_SIM_BRIDGE_FAULT": "exit:7@0.3"})
    bridge.listening()
    assert bridge.ended() == 7
