"""The end of the CLI's own log, for people."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftsup.config.model import Account
from raftsup.ops import bridge_log

ACCOUNT = Account("a", True, "p", "agent/1", ("raft",), None, "a")


def written(path: Path, *events: object) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_what_each_pass_says_is_left_out_and_the_rest_told_in_order(tmp_path: Path) -> None:
    path = written(
        tmp_path / "bridge.log",
        {"ts": "T1", "type": "bridge_process_started", "pid": 7, "mode": "stream"},
        {"ts": "T2", "type": "agent_comms.lifecycle", "state": "starting"},
        {"ts": "T2", "kind": "proof", "outcome": "ok"},
        {"ts": "T3", "kind": "wake_attempt", "outcome": "failed",
         "failureMeta": {"failureClass": "busy"}, "reason": "no"},
        {"ts": "T3", "type": "fast_reconcile_peek", "pendingCount": 1},
        {"ts": "T4", "type": "agent_comms.activity_drain", "outcome": "no_events"},
        {"ts": "T5", "type": "bridge_retry", "consecutiveFailures": 1, "errorCode": "TypeError",
         "message": "wake-hint stream ended\x1b[2J"},
        {"ts": "T6", "type": "bridge_fatal", "errorCode": "CHECK_FAILED", "message": "fetch"},
    )  # fmt: skip
    assert bridge_log.tail(path).lines == (
        "T1 bridge_process_started pid=7",
        "T3 wake_attempt failureClass=busy reason=no outcome=failed",
        "T5 bridge_retry errorCode=TypeError message=wake-hint stream ended [2J"
        " consecutiveFailures=1",
        "T6 bridge_fatal errorCode=CHECK_FAILED message=fetch",
    )
    assert len(bridge_log.tail(path, 1).lines) == 1
    assert bridge_log.tail(path).at == path.stat().st_mtime


def test_of_a_long_log_the_end_is_read(tmp_path: Path) -> None:
    events = [{"ts": str(n), "type": "bridge_retry", "message": "x" * 100} for n in range(9000)]
    path = written(tmp_path / "bridge.log", *events)
    assert path.stat().st_size > 1 << 20
    assert bridge_log.tail(path, 1).lines[0].startswith("8999 bridge_retry")


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_there_is_shown_harmlessly(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bridge.log"
    path.write_bytes(content)
    found = bridge_log.tail(path)
    assert all(line.isprintable() for line in found.lines)
    assert bool(found.lines) != bool(found.problem)


def test_what_is_no_file_holds_up_nobody(tmp_path: Path) -> None:
    assert bridge_log.tail(tmp_path / "none").problem == "No such file or directory"
    os.mkfifo(tmp_path / "pipe")
    assert bridge_log.tail(tmp_path / "pipe").problem == "it is no regular file"
    assert bridge_log.tail(tmp_path).problem


@pytest.mark.parametrize(
    ("agent_id", "profile", "found"),
    [("agent/1", "p", True), (None, "p", False), ("agent/1", None, False)],
)
def test_where_it_is_takes_a_profile_and_an_agent(
    tmp_path: Path, agent_id: str | None, profile: str | None, found: bool
) -> None:
    account = Account("a", True, profile, agent_id, ("raft",), None, "a")
    path = bridge_log.path_of(account, {"RAFT_HOME": str(tmp_path)})
    folder = tmp_path / "profiles/p/agent-comms-core/agent_1/default"
    assert path == (folder / "bridge.log" if found else None)
