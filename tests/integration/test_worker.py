"""One account's worker process against the simulated Raft, without a parent."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
import pytest

from raftsup import exit_codes, report
from raftsup.ledger import Counts, open_ledger
from raftsup.worker import heartbeat, status_file
from tests.integration.host import OPERATORS_SECRET, RAFT, Host, running, wait_for
from tests.processes import alive

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"type": "agent_comms.lifecycle", "state": "listening_idle"}', flush=True)
time.sleep(60)
"""


@pytest.fixture
def host() -> Iterator[Host]:
    with running(["support"]) as host:
        yield host


def facts(host: Host) -> Any:
    return report.read(host.state.report("support")) or {}


def bridge(host: Host) -> dict[str, object]:
    found = facts(host).get("bridge")
    return found if isinstance(found, dict) else {}


def listening(host: Host, worker: subprocess.Popen[str]) -> int:
    """Wait until this worker's bridge listens; the bridge's pid."""
    wait_for(
        lambda: facts(host).get("pid") == worker.pid and bridge(host).get("state") == "listening",
        what=f"a listening bridge ({host.said()})",
    )
    host.watch()
    return int(str(bridge(host)["pid"]))


def counts(host: Host) -> Counts:
    ledger = open_ledger(host.state.ledger, readonly=True)
    try:
        return ledger.counts().get("support", Counts())
    finally:
        ledger.close()


def post_wake(url: str) -> int:
    """The status of an unauthenticated wake; 0 if nobody listens."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=5)
    try:
        connection.request("POST", "/wake", b'{"eventId": "e1"}')
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_a_message_in_raft_becomes_a_turn_owed_in_the_ledger(host: Host) -> None:
    worker = host.start("worker", "support")
    listening(host, worker)
    host.raft.workspace.post("support", "hello")
    wait_for(lambda: counts(host).accepted == 1, what="the wake in the ledger")
    # Nobody takes the turn: the bridge's re-deliveries find it queued, and owe nothing more.
    wait_for(lambda: counts(host).duplicates >= 1, what="a re-delivery")
    assert counts(host).queued == 1


def test_an_operators_proxy_is_not_asked_for_loopback(host: Host) -> None:
    """A Raft beside the host, and the host's own endpoint, whatever NO_PROXY leaves out."""
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "intranet.example", "no_proxy": ""}
    listening(host, host.start("worker", "support", **proxy))
    host.raft.workspace.post("support", "hello")
    wait_for(lambda: counts(host).accepted == 1, what="the wake in the ledger")


def test_the_bridge_gets_a_token_of_32_bytes_the_agent_id_and_no_secret_of_ours(
    host: Host,
) -> None:
    worker = host.start("worker", "support", SLOCK_AGENT_ID="x", RAFT_AGENT_TOKEN="y")
    process = psutil.Process(listening(host, worker))
    env, argv = process.environ(), process.cmdline()
    assert re.fullmatch(r"[0-9a-f]{64}", env["RAFT_CHANNEL_TOKEN"])
    assert env["RAFT_EXPECTED_AGENT_ID"] == "agent-support"
    assert env["RAFT_HOME"] == str(host.root)
    assert not [name for name in env if name.startswith(("SLOCK_", "RAFT_AGENT_", "RAFTSUP"))]
    assert OPERATORS_SECRET not in env.values()
    endpoint = facts(host)["url"]
    assert argv[argv.index("--profile") :] == [
        "--profile", "support", "agent", "bridge", "--wake-adapter", "wake-channel",
        "--wake-channel-endpoint", endpoint, "--json",
    ]  # fmt: skip


def test_the_token_is_in_no_log_no_argv_and_no_file_and_each_worker_has_its_own(
    host: Host,
) -> None:
    tokens = []
    for _ in range(2):
        worker = host.start("worker", "support")
        process = psutil.Process(listening(host, worker))
        token = process.environ()["RAFT_CHANNEL_TOKEN"]
        tokens.append(token)
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: counts(host).accepted >= len(tokens))
        lines = [" ".join(p.cmdline()) for p in host.watch() if p.is_running()]
        assert lines
        assert not [line for line in lines if token in line]
        worker.terminate()
        worker.wait(20)
        kept = [p for p in [*host.state.root.rglob("*"), *host.root.glob("*.log")] if p.is_file()]
        assert host.state.report("support") in kept
        assert not [p for p in kept if token.encode() in p.read_bytes()]
    assert tokens[0] != tokens[1]


def test_what_it_reports_is_private(host: Host) -> None:
    worker = host.start("worker", "support")
    listening(host, worker)
    files = [p for p in host.state.root.rglob("*") if p.is_file()]
    assert host.state.report("support") in files
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}
    folders = [p for p in host.state.root.rglob("*") if p.is_dir()]
    assert {stat.S_IMODE(p.stat().st_mode) for p in folders} == {0o700}


def test_at_sigterm_it_refuses_wakes_ends_the_bridge_and_only_then_closes(host: Host) -> None:
    cli = host.root / "raft.py"
    cli.write_text(STUBBORN)
    # It takes its time to go, so that the order can be seen.
    host.configure({"support": {"command": [RAFT[0], str(cli)]}})
    worker = host.start("worker", "support")
    pid = listening(host, worker)
    url = str(facts(host)["url"])
    token = psutil.Process(pid).environ()["RAFT_CHANNEL_TOKEN"]
    assert post_wake(url) == 401
    worker.send_signal(signal.SIGTERM)

    seen: set[int] = set()

    def refused() -> bool:
        seen.add(_wake(url, token))
        return 503 in seen

    wait_for(refused, what="a 503 while it stops")
    assert alive(pid), "it refuses before the bridge is gone"
    while alive(pid):
        # The bridge was alive before and after: so the endpoint had to be there.
        status = _wake(url, token)
        assert status == 503 or not alive(pid)
    assert worker.wait(20) == exit_codes.OK
    assert _wake(url, token) == 0
    assert bridge(host)["state"] == "stopped"
    # Those before the stop were owed; those refused left no trace.
    assert seen <= {202, 503}
    assert counts(host).accepted == (1 if 202 in seen else 0)


def _wake(url: str, token: str) -> int:
    """The status of a good wake, always the same one; 0 if nobody listens."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=5)
    headers = {"x-raft-bridge-token": token, "content-type": "application/json"}
    try:
        connection.request("POST", "/wake", orjson.dumps({"eventId": "e1"}), headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


@pytest.mark.parametrize("stubborn", [False, True])
def test_sigkill_of_the_worker_leaves_no_bridge(host: Host, stubborn: bool) -> None:
    if stubborn:
        cli = host.root / "raft.py"
        cli.write_text(STUBBORN)
        host.configure({"support": {"command": [RAFT[0], str(cli)]}})
    worker = host.start("worker", "support")
    listening(host, worker)
    worker.kill()
    worker.wait()
    host.gone()


def test_a_second_worker_of_the_account_is_refused_and_disturbs_nothing(host: Host) -> None:
    worker = host.start("worker", "support")
    pid = listening(host, worker)
    second = host.run("worker", "support")
    assert second.returncode == exit_codes.ALREADY_RUNNING
    assert str(worker.pid) in second.stderr
    assert worker.poll() is None
    assert bridge(host)["pid"] == pid
    assert alive(pid)


def test_it_goes_on_counting_what_its_predecessor_refused(host: Host) -> None:
    for number in (1, 2):
        worker = host.start("worker", "support")
        listening(host, worker)
        assert post_wake(str(facts(host)["url"])) == 401
        worker.terminate()
        worker.wait(20)
        assert facts(host)["rejected"] == number


def test_an_unknown_a_disabled_and_a_misconfigured_account_are_refused_with_the_reason(
    host: Host,
) -> None:
    host.configure({"support": {}, "off": {"enabled": False}, "bad": {"profile": ""}})
    for name, reason in (("nobody", "support, off, bad"), ("off", "enabled"), ("bad", "profile")):
        refused = host.run("worker", name)
        assert refused.returncode == exit_codes.CONFIG, refused
        assert reason in refused.stderr
    assert not host.state.reports.exists()


def test_a_ledger_that_cannot_be_opened_is_told(host: Host) -> None:
    host.state.prepare()
    (host.state.ledger / "data.mdb").write_bytes(b"garbage" * 4096)
    refused = host.run("worker", "support")
    assert refused.returncode == exit_codes.FAILED
    assert "ledger.closed" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_process_is_named_after_its_account(host: Host) -> None:
    worker = host.start("worker", "support")
    listening(host, worker)
    assert psutil.Process(worker.pid).cmdline()[0] == "raftsup: accounts:support"


def test_a_stop_during_the_start_ends_it_too(host: Host) -> None:
    """SIGTERM at any moment from the exec on: it ends, and leaves nothing."""
    for pause in (0.15, 0.2, 0.25, 0.3):
        worker = host.start("worker", "support")
        timer = threading.Timer(pause, worker.terminate)
        timer.start()
        assert worker.wait(20) in (exit_codes.OK, -signal.SIGTERM)
        host.gone()


def test_a_worker_that_cannot_reach_itself_any_more_ends_with_its_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", end)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SystemExit) as ended:
        heartbeat.beat(port, tmp_path / "beat", 0.01, threading.Event(), lambda: None, 0.05)
    assert ended.value.code == exit_codes.HUNG
    assert not (tmp_path / "beat").exists()


def test_readers_of_the_report_never_see_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "support.json"
    said = status_file.Report(path, "support", "support")
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            said.count("rejected")
            said.write()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_for(path.exists)
        for _ in range(500):
            assert report.read(path) is not None
    finally:
        over.set()
        thread.join()


def test_a_report_that_cannot_be_written_costs_the_news_and_nothing_else(tmp_path: Path) -> None:
    said = status_file.Report(tmp_path / "missing" / "support.json", "support", "support")
    said.write()
    (tmp_path / "missing").mkdir()
    said.write()
    assert report.read(said.path) is not None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"rejected": "many"}', '{"rejected": null}'])
def test_a_report_of_garbage_is_no_obstacle_to_the_next_worker(tmp_path: Path, text: str) -> None:
    path = tmp_path / "support.json"
    path.write_text(text)
    said = status_file.Report(path, "support", "support")
    said.adopt()
    said.write()
    found = report.read(path)
    assert found is not None
    assert found["rejected"] == 0


def test_a_bridge_whose_shim_is_stopped_does_not_outlive_its_worker_for_long() -> None:
    with running(("support",)) as host:
        host.up()
        host.ready()
        account = host.account("support")
        bridge = account["bridge"]["pid"]
        shim = psutil.Process(bridge).parent()
        assert shim is not None
        shim.suspend()
        os.kill(account["endpoint"]["pid"], signal.SIGKILL)
        wait_for(lambda: not alive(bridge) and not alive(shim.pid), what="their end")
        assert host.ready()["support"]["bridge"]["pid"] != bridge
        host.raft.workspace.post("support", "hello")
        host.answered("hello")


def test_a_bridge_whose_shim_is_stopped_ends_with_its_host() -> None:
    with running(("support",)) as host:
        host.up()
        host.ready()
        bridge = host.account("support")["bridge"]["pid"]
        shim = psutil.Process(bridge).parent()
        assert shim is not None
        shim.suspend()
        assert host.run("stop").returncode == exit_codes.OK
        wait_for(lambda: not alive(bridge) and not alive(shim.pid), what="their end")
