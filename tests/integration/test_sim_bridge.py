"""The bridge as a process: what it sends, when it sends it again, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from raftsup.sim.bridge_state import LOG_BYTES, BridgeState
from raftsup.sim.server import RunningWorkspace, running_workspace
from tests.integration.sim_bridge import (
    CALM,
    QUICK,
    RAFT,
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

        def start(environ: Mapping[str, str] = CALM, **details: Any) -> BridgeProcess:
            made = BridgeProcess(tmp_path, endpoint.url, environ, **details)
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
    wait_for(lambda: "handoff_pending" in bridge.states())
    # Both at each pass, and nothing else where no hint of its own was left.
    states = bridge.states()
    assert states[0::2] == ["starting"] * (len(states) // 2)
    assert set(states[1::2]) == {"listening_idle", "handoff_pending"}


def test_what_was_pending_before_its_first_start_comes_at_once(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    ids = [raft.workspace.post("support", str(n)).id for n in range(60)]
    bridges()
    wait_for(lambda: len(endpoint.wakes) >= 60)
    assert endpoint.messages()[:60] == ids
    assert endpoint.most_busy == 1


def test_a_reconciliation_sends_a_page_at_most(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    ids = [raft.workspace.post("support", str(n)).id for n in range(60)]
    bridges({**CALM, "RAFT_SIM_RECONCILE": "0.5", "RAFT_SIM_GRACE": "0.01"})
    # And the same page again until somebody reads.
    wait_for(lambda: len(endpoint.wakes) >= 160)
    assert endpoint.messages()[60:160] == ids[:50] * 2


def test_what_came_while_no_bridge_ran_comes_at_the_next_start(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    first = bridges()
    first.listening()
    raft.workspace.post("support", "seen")
    wait_for(lambda: first.states()[-1:] == ["handoff_pending"])
    wait_for(lambda: first.states()[-1:] == ["listening_idle"])
    first.close()
    ids = [raft.workspace.post("support", str(n)).id for n in range(3)]
    bridges()
    wait_for(lambda: endpoint.messages()[1:] == ids)


def test_it_says_nothing_between_its_start_and_the_first_chunk(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    raft.fault("hold-first-chunk")
    raft.workspace.post("support", "x")
    bridge = bridges()
    first = {
        "type": "bridge_process_started",
        "pid": wait_for(lambda: bridge.process.pid),
        "mode": "stream",
        "pollIntervalMs": 200,
        "reconcileIntervalMs": 60_000,
    }
    wait_for(bridge.events)
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() > begun + 0.5)
    assert (bridge.events(), endpoint.wakes) == ([first], [])
    raft.clear_faults()
    wait_for(lambda: endpoint.wakes)


def test_the_first_chunk_comes_at_once(tmp_path: Path, endpoint: Endpoint) -> None:
    with (
        running_workspace(["support"], tmp_path, keepalive=60.0),
        closing(BridgeProcess(tmp_path, endpoint.url, CALM)) as bridge,
    ):
        wait_for(lambda: bridge.states() == ["starting", "listening_idle"])


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
    bridge = bridges({**CALM, "RAFT_SIM_RECONCILE": "0.2", "RAFT_SIM_GRACE": "0.1"})
    message = raft.workspace.post("support", "x")
    wait_for(lambda: len(endpoint.wakes) >= 4)
    cursor = raft.workspace.pull("agent-support").cursor
    raft.workspace.pull("agent-support", cursor)
    wait_for(lambda: bridge.events()[-1].get("pendingCount") == 0)
    assert set(endpoint.messages()) == {message.id}


def test_a_failed_hint_comes_again_soon_and_is_forgotten_after_success(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, tmp_path: Path
) -> None:
    endpoint.answer = (503, {"ok": False, "failureClass": "busy", "retryAfterMs": 60_000})
    bridge = bridges(QUICK)
    bridge.listening()
    raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.wakes)
    endpoint.answer = (202, {"runtimeSession": "s"})
    wait_for(lambda: len(endpoint.wakes) == 2)
    wait_for(lambda: (tmp_path / STATE / "wake-hints.jsonl").read_text() == "")
    wait_for(lambda: len(bridge.wake_results()) == 2)
    failed, injected = bridge.wake_results()
    assert failed["kind"] == "wake_attempt" and injected["kind"] == "proof"
    assert failed["failureMeta"] == {"failureClass": "busy", "retryAfterMs": 60_000}
    assert injected["proofLevel"] == "wake_injected" and "type" not in injected
    assert failed["schema"] == "slock-external-agent-wake-event.v1"


def test_at_its_start_it_replays_what_failed_and_not_what_was_injected(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    first = bridges()
    first.listening()
    good = raft.workspace.post("support", "good")
    wait_for(lambda: len(endpoint.wakes) == 1)
    endpoint.answer = (500, {})
    bad = raft.workspace.post("support", "bad")
    wait_for(lambda: len(endpoint.wakes) == 2)
    wait_for(lambda: len(first.wake_results()) == 2)
    first.close()
    second = bridges()
    wait_for(lambda: "connected_replaying" in second.states())
    assert endpoint.messages() == [good.id, bad.id, bad.id]
    sessions = {body["coreSessionId"] for _, body in endpoint.wakes}
    assert len(sessions) == 1


def test_a_hint_in_flight_when_it_was_killed_is_sent_twice(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    endpoint.gate.clear()
    first = bridges()
    first.listening()
    raft.workspace.post("support", "seen")
    wait_for(lambda: endpoint.wakes)
    endpoint.gate.set()
    wait_for(lambda: first.states()[-1:] == ["handoff_pending"])
    endpoint.gate.clear()
    message = raft.workspace.post("support", "x")
    wait_for(lambda: len(endpoint.wakes) == 2)
    first.close()
    endpoint.gate.set()
    bridges()
    wait_for(lambda: endpoint.messages()[1:] == [message.id] * 3)


def test_one_wake_at_a_time_and_no_drain_while_an_answer_is_owed(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges()
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
    [result] = wait_for(bridge.wake_results)
    assert result["failureMeta"] == {"failureClass": "no_session"}
    assert bridge.process.poll() is None


def test_activity_of_the_host_reaches_the_server(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    nameless = {"schema": "raft-activity.v1", "eventId": "e0", "detail": "what a person would see"}
    endpoint.activity = [nameless, {**nameless, "eventId": "e1", "hookEventName": "Stop"}]
    bridge = bridges()
    [record] = wait_for(raft.workspace.activity)
    assert (record["agent"], record["event"]["eventId"]) == ("agent-support", "e1")
    assert "detail" not in record["event"]
    drains = wait_for(
        lambda: [e for e in bridge.events() if e.get("type") == "agent_comms.activity_drain"]
    )
    counts = {k: v for k, v in drains[0].items() if k.endswith("Count") or k == "outcome"}
    assert counts == {
        "outcome": "forwarded",
        "drainedCount": 2,
        "forwardedCount": 1,
        "rejectedCount": 1,
        "droppedCount": 0,
    }


def test_a_lost_stream_is_opened_again_and_nothing_is_missed(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges()
    bridge.listening()
    raft.workspace.post("support", "seen")
    wait_for(lambda: bridge.states()[-1:] == ["handoff_pending"])
    raft.fault("drop")
    message = raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.messages()[1:] == [message.id])
    [recovered] = wait_for(
        lambda: [e for e in bridge.events() if e.get("type") == "bridge_recovered"]
    )
    assert recovered == {"type": "bridge_recovered", "afterFailures": 1}
    [retry] = [e for e in bridge.events() if e.get("type") == "bridge_retry"]
    assert retry == {
        "type": "bridge_retry",
        "consecutiveFailures": 1,
        "delayMs": 200,
        "errorCode": "TypeError",
        "message": "wake-hint stream ended",
    }
    assert "bridge: transient failure (TypeError: wake-hint stream ended)" in bridge.stderr()


def test_a_stream_that_breaks_within_a_hint_loses_nothing(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges()
    bridge.listening()
    raft.workspace.post("support", "seen")
    wait_for(lambda: bridge.states()[-1:] == ["handoff_pending"])
    raft.fault("cut", count=1, route="/internal/agent-api/wake-hints/stream")
    message = raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.messages()[1:] == [message.id])


def test_a_server_without_a_stream_is_polled(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    raft.fault("no-stream")
    bridge = bridges()
    wait_for(lambda: bridge.states().count("listening_idle") > 2)
    assert [e for e in bridge.events() if e.get("type") == "bridge_stream_unavailable"] == [
        {"type": "bridge_stream_unavailable", "fallback": "poll", "message": "Not found"}
    ]
    raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.wakes)


def test_a_server_that_never_answers_leaves_it_silent_until_its_client_gives_up(
    raft: RunningWorkspace, bridges: Bridges
) -> None:
    raft.fault("stall")
    bridge = bridges({**CALM, "RAFT_SIM_HTTP_TIMEOUT": "1"})
    wait_for(bridge.events)
    with pytest.raises(AssertionError):
        wait_for(lambda: len(bridge.events()) > 1, 0.5)
    [retry] = wait_for(lambda: bridge.of_type("bridge_retry"))
    assert (retry["errorCode"], retry["message"]) == ("TypeError", "fetch failed")
    # Its poll has the same deadline, and is fatal.
    assert bridge.ended() == 1
    [fatal] = bridge.of_type("bridge_fatal")
    assert fatal["errorCode"] == "CHECK_FAILED"


def test_a_server_that_was_stopped_leaves_it_silent_until_its_client_gives_up(
    raft: RunningWorkspace, bridges: Bridges
) -> None:
    bridge = bridges({**QUICK, "RAFT_SIM_IDLE": "0.3", "RAFT_SIM_HTTP_TIMEOUT": "1.5"})
    bridge.listening()
    raft.fault("mute")
    wait_for(lambda: bridge.of_type("bridge_retry"))
    said = len(bridge.events())
    with pytest.raises(AssertionError):  # its wait, and then its poll, which nobody answers
        wait_for(lambda: len(bridge.events()) > said or bridge.process.poll() is not None, 0.8)
    assert bridge.ended() == 1
    assert [e["errorCode"] for e in bridge.of_type("bridge_fatal")] == ["CHECK_FAILED"]


def test_an_idle_stream_counts_as_a_failure(raft: RunningWorkspace, bridges: Bridges) -> None:
    bridge = bridges({**CALM, "RAFT_SIM_IDLE": "0.05"})
    retries = wait_for(lambda: [e for e in bridge.events() if e.get("type") == "bridge_retry"])
    assert retries[0]["message"] == "wake-hint stream idle timeout after 50ms"
    assert bridge.process.poll() is None


def test_it_survives_5xx_with_growing_waits(raft: RunningWorkspace, bridges: Bridges) -> None:
    raft.fault("error", count=3)
    bridge = bridges({**CALM, "RAFT_SIM_POLL": "0.02", "RAFT_SIM_RETRY_CAP": "0.05"})
    bridge.listening()
    retries = [e for e in bridge.events() if e.get("type") == "bridge_retry"]
    assert [e["delayMs"] for e in retries] == [20, 40, 50]
    assert {(e["errorCode"], e["message"]) for e in retries} == {("SERVER_5XX", "injected")}


@pytest.mark.parametrize("after", [0, 1])
def test_a_refused_poll_ends_it_at_any_retry(
    raft: RunningWorkspace, bridges: Bridges, after: int
) -> None:
    bridge = bridges()
    bridge.listening()
    if after:
        raft.fault("error", status=503)
        raft.fault("drop")
        wait_for(lambda: [e for e in bridge.events() if e.get("consecutiveFailures", 0) > after])
    raft.refuse()
    assert bridge.ended() == 1
    assert "\nCode: CHECK_FAILED\n" in bridge.stderr()
    fatal = [e for e in bridge.events() if e.get("type", "").startswith("bridge_fatal")]
    assert [e["type"] for e in fatal] == ["bridge_fatal", "bridge_fatal_activity_forward_failed"]
    assert fatal[0]["errorCode"] == "CHECK_FAILED"
    assert fatal[0]["message"] == "Daemon API wakeHintsFetch transport request failed"
    raft.listen()
    raft.clear_faults()
    bridges().listening()


def test_a_revoked_credential_ends_it_once_its_stream_breaks_and_frees_the_lock(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, tmp_path: Path
) -> None:
    bridge = bridges({**CALM, "RAFT_SIM_RECONCILE": "0.2"})
    bridge.listening()
    raft.fault("revoke", agent="support")
    refused = {"type": "reconcile_failed", "message": "Invalid agent credential"}
    wait_for(lambda: refused in bridge.events())
    endpoint.activity = [{"hookEventName": "Stop", "eventId": "e"}]
    [drain] = wait_for(
        lambda: [
            e for e in bridge.of_type("agent_comms.activity_drain") if e["outcome"] == "failed"
        ]
    )
    assert (drain["errorClass"], drain["errorMessage"]) == ("CliError", refused["message"])
    # What is said comes all the same, on the stream that was opened before.
    raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.wakes)
    assert bridge.process.poll() is None
    raft.fault("drop")
    assert bridge.ended() == 1
    assert bridge.stderr().endswith(
        "Error: Invalid agent credential\nCode: BRIDGE_WAKE_HINTS_FAILED\n"
    )
    [fatal] = bridge.of_type("bridge_fatal")
    assert fatal == {
        "type": "bridge_fatal",
        "errorCode": "BRIDGE_WAKE_HINTS_FAILED",
        "message": "Invalid agent credential",
    }
    assert not (tmp_path / STATE / "bridge.lock").exists()
    # And again at once: the stream is refused.
    again = bridges()
    assert again.ended() == 1
    assert "\nCode: BRIDGE_WAKE_STREAM_FAILED\n" in again.stderr()


def test_a_fatal_end_is_told_to_the_server(raft: RunningWorkspace, bridges: Bridges) -> None:
    bridge = bridges()
    bridge.listening()
    raft.fault("error", status=403, route="/internal/agent-api/wake-hints")
    raft.fault("drop")
    assert bridge.ended() == 1
    [record] = raft.workspace.activity()
    event = record["event"]
    assert event["hookEventName"] == "BridgeFatal"
    assert (event["errorClass"], event["toolOutput"]) == ("BRIDGE_WAKE_HINTS_FAILED", "injected")
    assert bridge.events()[-1] == {"type": "bridge_fatal_activity_forwarded"}


def test_a_poll_that_is_no_json_ends_it(raft: RunningWorkspace, bridges: Bridges) -> None:
    raft.fault("garbage", route="/internal/agent-api/wake-hints")
    bridge = bridges()
    assert bridge.ended() == 1
    assert bridge.stderr().endswith(
        "Error: Daemon API wakeHintsFetch response did not contain valid JSON"
        " (cause=invalid_json_syntax; path=<unavailable>; expected_kind=unavailable;"
        " actual_kind=unavailable)\n"
        "Code: INVALID_JSON_RESPONSE\n"
    )


def test_a_ledger_that_cannot_be_read_ends_it_at_every_start(
    raft: RunningWorkspace, bridges: Bridges, tmp_path: Path
) -> None:
    """A kill within a write leaves such a file, and only a person removes it."""
    first = bridges()
    first.listening()
    first.close()
    (tmp_path / STATE / "wake-hints.jsonl").write_text('{"event_id": "wake-hi')
    for _ in range(2):
        bridge = bridges()
        assert bridge.ended() == 1
        assert "\nCode: INTERNAL_BUG\n" in bridge.stderr()
        [fatal] = [e for e in bridge.events() if e.get("type") == "bridge_fatal"]
        assert fatal["errorCode"] == "SyntaxError"


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
    assert (tmp_path / STATE / "bridge.lock").read_text().startswith("{\n  ")


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
    assert bridge.events() == []
    lines = bridge.stderr().splitlines()
    assert lines[1] == "Code: BRIDGE_ALREADY_RUNNING"
    assert lines[2].startswith("Next action: Stop the existing bridge")
    assert lines[2].endswith(f" Lock: {path}")
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("code", "details", "environ"),
    [
        ("BRIDGE_EXPECTED_AGENT_REQUIRED", {"expected": None}, {}),
        ("BRIDGE_EXPECTED_AGENT_REQUIRED", {"flags": ["--expected-agent", ""]}, {}),
        ("BRIDGE_IDENTITY_MISMATCH", {"flags": ["--expected-agent", "agent-other"]}, {}),
        ("BRIDGE_IDENTITY_MISMATCH", {"expected": "agent-other"}, {}),
        ("PROFILE_FILE_UNREADABLE", {"profile": "nobody"}, {}),
        ("PROFILE_FILE_UNREADABLE", {"profile": "../support"}, {}),
        ("PROFILE_MANAGED_CONTEXT_CONFLICT", {}, {"SLOCK_CLI_TRANSPORT_DIR": "/x"}),
        ("PROFILE_ENV_CONFLICT", {}, {"SLOCK_PROFILE": "other"}),
    ],
)
def test_a_start_that_cannot_be_right_is_refused_with_a_code(
    bridges: Bridges, code: str, details: dict[str, Any], environ: dict[str, str]
) -> None:
    bridge = bridges({**CALM, **environ}, **details)
    assert bridge.ended() == 1
    assert bridge.stderr().startswith("Error: ")
    assert f"\nCode: {code}\n" in bridge.stderr()
    assert bridge.events() == []


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


def test_managed_variables_alone_are_ignored_with_a_word(bridges: Bridges) -> None:
    bridge = bridges({**CALM, "SLOCK_AGENT_ID": "a"})
    bridge.listening()
    assert "raft: RAFT_PROFILE=support active; ignoring SLOCK_AGENT_ID" in bridge.stderr()


def test_a_wrong_adapter_or_number_is_an_invalid_argument(
    tmp_path: Path, raft: RunningWorkspace
) -> None:
    env = {**os.environ, "RAFT_HOME": str(tmp_path), "RAFT_EXPECTED_AGENT_ID": "agent-support"}
    for flags in (
        ["--wake-adapter", "pigeon"],
        ["--limit", "none"],
        ["--limit", "0"],
        ["--poll-interval-ms", "1.5"],
        ["--activity-drain-limit", "-1"],
        ["--no-such-flag"],
    ):
        done = subprocess.run(
            [*RAFT, "--profile", "support", "agent", "bridge", *flags],
            env=env, capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert "\nCode: INVALID_ARG\n" in done.stderr


def test_its_log_has_every_event_and_its_files_are_private(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, tmp_path: Path
) -> None:
    bridge = bridges()
    bridge.listening()
    raft.workspace.post("support", "top secret")
    wait_for(lambda: bridge.states()[-1:] == ["handoff_pending"])
    folder = tmp_path / STATE
    logged = [json.loads(line) for line in (folder / "bridge.log").read_text().splitlines()]
    assert all(line.pop("ts").endswith("Z") for line in logged)
    told = bridge.events()
    assert logged[: len(told)] == told
    session = json.loads((folder / "session.json").read_text())
    assert session["coreSessionId"].startswith("core_") and session["lastSeenHintSeq"] == 1
    assert {p.name for p in folder.iterdir()} == {
        "bridge.lock", "bridge.log", "proofs.jsonl", "session.json", "wake-hints.jsonl",
    }  # fmt: skip
    assert all(p.stat().st_mode & 0o077 == 0 for p in (folder, *folder.iterdir()))


def test_a_log_of_five_megabytes_is_put_aside(tmp_path: Path) -> None:
    state = BridgeState(tmp_path)
    (tmp_path / "bridge.log").write_bytes(b"x" * LOG_BYTES)
    state.log({"type": "e"}, "now")
    assert (tmp_path / "bridge.log.1").stat().st_size == LOG_BYTES
    assert json.loads((tmp_path / "bridge.log").read_text()) == {"ts": "now", "type": "e"}


WHO = {"coreSessionId", "agentId", "profile", "profileSlug", "adapterInstance", "runtimeSession"}
EVENT = WHO | {"type", "eventId", "protocolVersion", "timestamp", "source", "provenance"}


def test_each_event_has_the_true_ones_fields(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges()
    bridge.listening()
    raft.workspace.post("support", "x")
    wait_for(lambda: bridge.states()[-1:] == ["handoff_pending"])
    said = [e for e in bridge.events() if e.get("seq") or e.get("kind")]
    named = EVENT | {"proofSchemaVersion", "attemptId", "lifecycleState", "wakeHintId", "seq"}
    delivered, accepted, handed, injected = said
    assert set(delivered) == set(accepted) == named | {"proofLevel", "proof"}
    assert (delivered["proofLevel"], accepted["proofLevel"]) == (
        "server_delivered", "harness_accepted",
    )  # fmt: skip
    assert [e["provenance"]["authority"] for e in said[:3]] == [
        "server_core", "comms_core", "comms_core",
    ]  # fmt: skip
    assert set(handed) == named | {"state", "replay", "proofLevel", "wakeHint", "acceptedProof"}
    assert set(injected) == (WHO - {"profileSlug"}) | {
        "schema", "eventId", "attemptId", "messageId", "occurredAt", "kind", "proofLevel",
        "outcome", "lifecycleState", "authority",
    }  # fmt: skip
    assert len({e["attemptId"] for e in said}) == 1
    [_, *lifecycles] = bridge.of_type("agent_comms.lifecycle")
    assert set(lifecycles[0]) == EVENT | {
        "proofSchemaVersion", "state", "lifecycleState", "commsMode",
    }  # fmt: skip
    drain = bridge.of_type("agent_comms.activity_drain")[0]
    assert set(drain) == EVENT | {
        "outcome", "drainedCount", "forwardedCount", "rejectedCount", "droppedCount",
    }  # fmt: skip


def test_once_is_one_poll(raft: RunningWorkspace, bridges: Bridges, tmp_path: Path) -> None:
    bridge = bridges(flags=["--once"])
    assert bridge.ended() == 0
    assert bridge.events()[0]["mode"] == "poll"
    assert bridge.states() == ["starting", "listening_idle"]
    assert not (tmp_path / STATE / "bridge.lock").exists()
    raft.fault("error")
    failed = bridges(flags=["--once"])
    assert failed.ended() == 1
    assert [e.get("type") for e in failed.events()[1:]] == [
        "bridge_fatal", "bridge_fatal_activity_forward_failed",
    ]  # fmt: skip
    assert "\nCode: SERVER_5XX\n" in failed.stderr()


def test_flags_and_variables_say_where_its_files_lie(
    raft: RunningWorkspace, bridges: Bridges, tmp_path: Path
) -> None:
    for folder, environ, flags in (
        (tmp_path / "flag", {"RAFT_AGENT_BRIDGE_STATE_DIR": "/x"}, ["--state-dir", "flag"]),
        (tmp_path / "variable", {"RAFT_AGENT_BRIDGE_STATE_DIR": str(tmp_path / "variable")}, []),
        (tmp_path / STATE.parent / "a_b", {}, ["--adapter-instance", "a/b"]),
    ):
        flags = [str(tmp_path / word) if word == "flag" else word for word in flags]
        bridge = bridges({**CALM, **environ}, flags=["--once", *flags])
        assert bridge.ended() == 0
        assert (folder / "session.json").exists()
    assert {e["adapterInstance"] for e in bridge.of_type("agent_comms.lifecycle")} == {"a/b"}


def test_without_json_it_says_nothing_and_logs_all(
    raft: RunningWorkspace, bridges: Bridges, tmp_path: Path
) -> None:
    env = {**os.environ, "RAFT_HOME": str(tmp_path), "RAFT_EXPECTED_AGENT_ID": "agent-support"}
    done = subprocess.run(
        [*RAFT, "--profile", "support", "agent", "bridge", "--once"],
        env=env, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    logged = (tmp_path / STATE / "bridge.log").read_text().splitlines()
    assert json.loads(logged[0])["type"] == "bridge_process_started"
    assert len(logged) == 3


def test_activity_is_read_where_its_own_flags_say(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    with closing(Endpoint()) as other:
        url = other.url.replace("/wake", "/elsewhere?a=b")
        given = ["--activity-channel-endpoint", url, "--activity-channel-token", "another"]
        bridge = bridges(flags=[*given, "--activity-drain-limit", "7"])
        wait_for(lambda: other.drains)
        assert other.drained[0] == ("/elsewhere?a=b&max=7", "another")
    bridge.listening()
    assert endpoint.drains == 0
    bridge.close()
    bridges()
    wait_for(lambda: endpoint.drains)
    assert endpoint.drained[0] == ("/activity/drain?max=50", TOKEN)


def test_without_an_adapter_nobody_is_woken_and_activity_is_read(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, tmp_path: Path
) -> None:
    bridge = bridges(adapter=False)
    bridge.listening()
    raft.workspace.post("support", "x")
    wait_for(lambda: bridge.of_type("agent_comms.handoff"))
    wait_for(lambda: endpoint.drains > 1)
    assert not endpoint.wakes and not bridge.wake_results()
    assert (tmp_path / STATE / "wake-hints.jsonl").read_text() != ""


@pytest.mark.parametrize(
    ("url", "drains"),
    [("127.0.0.1:1/wake", False), ("https://127.0.0.1:1/wake", True), ("http://h:no/", False)],
)
def test_an_endpoint_that_is_no_url_is_no_error(
    raft: RunningWorkspace, tmp_path: Path, url: str, drains: bool
) -> None:
    with closing(BridgeProcess(tmp_path, url, CALM)) as bridge:
        bridge.listening()
        raft.workspace.post("support", "x")
        [result] = wait_for(bridge.wake_results)
        assert result["failureMeta"] == {"failureClass": "no_session"}
        outcomes = {e["outcome"] for e in bridge.of_type("agent_comms.activity_drain")}
        assert outcomes == ({"failed"} if drains else set())


def test_a_stream_lost_during_a_post_is_noticed_after_it(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges()
    bridge.listening()
    endpoint.gate.clear()
    first = raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.wakes)
    said = len(bridge.events())
    raft.fault("drop")
    second = raft.workspace.post("support", "y")
    with pytest.raises(AssertionError):  # of a pass nothing is told before its end
        wait_for(lambda: len(bridge.events()) > said, 0.3)
    endpoint.gate.set()
    wait_for(lambda: bridge.of_type("bridge_recovered"))
    assert endpoint.messages() == [first.id, second.id]
    [retry] = bridge.of_type("bridge_retry")
    assert retry["message"] == "wake-hint stream ended"


def test_a_server_lost_between_a_wake_and_the_end_of_its_pass(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges()
    bridge.listening()
    raft.fault("reset", route="/internal/agent-api/activity")
    endpoint.activity = [{"hookEventName": "Stop"}]
    raft.workspace.post("support", "x")
    [failed] = wait_for(
        lambda: [
            e for e in bridge.of_type("agent_comms.activity_drain") if e["outcome"] == "failed"
        ]
    )
    assert (failed["drainedCount"], failed["forwardedCount"]) == (1, 0)
    assert failed["errorClass"] == "CliError"
    assert failed["errorMessage"] == "Daemon API activityForward transport request failed"
    wait_for(lambda: bridge.states()[-1:] == ["handoff_pending"])
    assert not bridge.of_type("bridge_retry")


def test_activity_that_cannot_be_read_is_told_with_its_class(
    raft: RunningWorkspace, endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.close()
    with closing(BridgeProcess(tmp_path, endpoint.url, CALM)) as bridge:
        [failed, *_] = wait_for(lambda: bridge.of_type("agent_comms.activity_drain"))
    told = [failed[key] for key in ("outcome", "errorClass", "errorMessage")]
    assert told == ["failed", "TypeError", "fetch failed"]


def test_its_own_idle_variable_is_in_milliseconds(raft: RunningWorkspace, bridges: Bridges) -> None:
    for word, told in (("40", "40ms"), ("soon", "50ms")):
        variables = {"SLOCK_BRIDGE_WAKE_STREAM_IDLE_TIMEOUT_MS": word, "RAFT_SIM_IDLE": "0.05"}
        bridge = bridges({**CALM, **variables})
        [retry, *_] = wait_for(lambda b=bridge: b.of_type("bridge_retry"))
        assert retry["message"] == f"wake-hint stream idle timeout after {told}"
        bridge.close()


def test_a_proxy_is_asked_for_the_server_and_not_for_the_endpoint(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    nobody = {**CALM, "HTTP_PROXY": "http://127.0.0.1:9"}
    bridge = bridges(nobody)
    assert bridge.ended() == 1
    [retry] = bridge.of_type("bridge_retry")
    assert (retry["errorCode"], retry["message"]) == ("TypeError", "fetch failed")
    assert "\nCode: CHECK_FAILED\n" in bridge.stderr()
    bridges({**nobody, "NO_PROXY": "127.0.0.1"}).listening()
    raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.wakes)


def test_files_that_it_cannot_use_end_it_as_a_bug(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    before = bridges(flags=["--state-dir", str(tmp_path / "file" / "x")])
    assert (before.ended(), before.events()) == (1, [])
    assert before.stderr().startswith("Error: Unexpected error: ENOTDIR: ")
    assert before.stderr().endswith("\nCode: INTERNAL_BUG\n")
    (tmp_path / STATE / "wake-hints.jsonl").mkdir(parents=True)
    within = bridges()
    assert within.ended() == 1
    [fatal] = within.of_type("bridge_fatal")
    assert (fatal["errorCode"], fatal["message"][:8]) == ("Error", "EISDIR: ")


def test_what_fails_within_a_reconciliation_is_only_told(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, tmp_path: Path
) -> None:
    bridge = bridges({**CALM, "RAFT_SIM_RECONCILE": "0.3"})
    bridge.listening()
    endpoint.gate.clear()
    raft.workspace.post("support", "x")
    wait_for(lambda: endpoint.wakes)
    ledger = tmp_path / STATE / "wake-hints.jsonl"
    endpoint.answer = (500, {})
    ledger.write_text('{"event_id": "wake-hi')
    endpoint.gate.set()
    wait_for(lambda: bridge.of_type("reconcile_failed"))
    assert bridge.process.poll() is None


def test_a_shape_that_was_not_agreed_ends_0_0_24_when_it_polls(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    """``target: null`` of a newer server: on the stream nobody looks, a poll is read strictly."""
    with running_workspace(["support"], tmp_path, keepalive=0.1, next=True) as raft:
        with closing(BridgeProcess(tmp_path, endpoint.url, CALM)) as bridge:
            bridge.listening()
            raft.workspace.post("support", "x")
            wait_for(lambda: bridge.states()[-1:] == ["handoff_pending"])
        raft.fault("no-stream")
        with closing(BridgeProcess(tmp_path, endpoint.url, CALM)) as bridge:
            bridge.listening()
            raft.workspace.post("support", "y")
            assert bridge.ended() == 1
        assert bridge.stderr().splitlines()[-2:] == [
            "Error: Daemon API wakeHintsFetch response did not match the shared contract"
            " (cause=wrong_type; path=wake_hints[*].target; expected_kind=string;"
            " actual_kind=null)",
            "Code: INVALID_JSON_RESPONSE",
        ]


def test_a_newer_cli_ends_on_a_revoked_credential_and_on_a_delegated_connection(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    later = {**CALM, "RAFT_SIM_CLI_MODE": "next"}
    with running_workspace(["support"], tmp_path, keepalive=0.1, next=True) as raft:
        with closing(BridgeProcess(tmp_path, endpoint.url, later)) as bridge:
            bridge.listening()
            raft.workspace.post("support", "x")
            wait_for(lambda: endpoint.wakes)
            [hint] = wait_for(
                lambda: [e for e in bridge.events() if e.get("type") == "agent_comms.handoff"]
            )
            assert hint["wakeHint"]["target"] is None
            raft.fault("revoke", agent="support")
            assert bridge.ended() == 1
            assert "\nCode: BRIDGE_WAKE_STREAM_FAILED\n" in bridge.stderr()
        raft.clear_faults()
        raft.fault("delegated")
        with closing(BridgeProcess(tmp_path, endpoint.url, later)) as bridge:
            assert bridge.ended() == 1
            assert "Error: HTTP 403\nCode: BRIDGE_WAKE_STREAM_FAILED\n" in bridge.stderr()


def test_an_event_without_a_number_comes_with_each_heartbeat_and_spoils_polls(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges
) -> None:
    bridge = bridges({**CALM, "RAFT_SIM_RECONCILE": "0.5"})
    bridge.listening()
    app = raft.workspace.post("support", "a build failed", app="github")
    # With each heartbeat, for as long as nobody reads it; nothing else does.
    wait_for(lambda: endpoint.messages()[:3] == [app.id] * 3)
    [failed, *_] = wait_for(lambda: bridge.of_type("reconcile_failed"))
    assert "path=wake_hints[*].seq; expected_kind=number; actual_kind=null" in failed["message"]
    raft.workspace.take("agent-support")
    wait_for(lambda: bridge.of_type("reconcile_peek"))
    raft.workspace.post("support", "again", app="github")
    raft.fault("drop")
    assert bridge.ended() == 1
    assert "\nCode: INVALID_JSON_RESPONSE\n" in bridge.stderr()


@pytest.mark.parametrize(
    ("answer", "told"), [("null", "reading 'schema'"), ("[null]", "reading 'hookEventName'")]
)
def test_activity_that_is_null_ends_it(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, answer: str, told: str
) -> None:
    endpoint.null_drain = answer
    bridge = bridges()
    assert bridge.ended() == 1
    [fatal] = bridge.of_type("bridge_fatal")
    assert (fatal["errorCode"], told in fatal["message"]) == ("TypeError", True)
    assert "Error: Unexpected error: Cannot read properties of null" in bridge.stderr()
    assert "\nCode: INTERNAL_BUG\n" in bridge.stderr()


def test_what_it_writes_has_no_spaces_and_is_utf_8(
    raft: RunningWorkspace, endpoint: Endpoint, bridges: Bridges, tmp_path: Path
) -> None:
    bridge = bridges({**CALM, "LC_ALL": "C"})
    bridge.listening()
    raft.workspace.post("support", "x", target="#größe")
    wait_for(lambda: endpoint.wakes)
    wait_for(lambda: "größe".encode() in bridge.out_path.read_bytes())
    assert b'{"type":"bridge_process_started","pid":' in bridge.out_path.read_bytes()
    assert b'{"event_id":"wake-hint:' in b"".join(
        line for line in (tmp_path / STATE / "bridge.log").read_bytes().split(b'"wakeHint":')
    )
