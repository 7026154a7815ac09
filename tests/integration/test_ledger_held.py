"""A process that a signal stops while it writes the ledger: no other hangs or is killed for it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup import exit_codes
from raftsup.ledger import LedgerUnavailable, open_ledger, stopped_writer
from raftsup.proc import liveness
from tests.integration.host import Host, running, wait_for

#: Opens the ledger and is stopped in the middle of a transaction.
STOPS = """
import os, signal, sys
from pathlib import Path
from raftsup.ledger import open_ledger, turns
ledger, add = open_ledger(Path(sys.argv[1])), turns.add
def stop(*args):
    os.kill(os.getpid(), signal.SIGSTOP)
    return add(*args)
turns.add = stop
ledger.owe("support", "operator", now=1.8e9)
ledger.close()
"""


@contextlib.contextmanager
def stopped_in_a_write(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    writer = subprocess.Popen([sys.executable, "-c", STOPS, str(folder)])
    try:
        wait_for(lambda: liveness.stopped(writer.pid), what="a stopped writer")
        yield writer
    finally:
        writer.kill()
        writer.wait()


def test_who_would_write_is_refused_soon_and_who_reads_is_not(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    with stopped_in_a_write(tmp_path) as writer:
        began = time.monotonic()
        told = f"its writer .pid {writer.pid}. is stopped by a signal; `kill -CONT {writer.pid}`"
        with pytest.raises(LedgerUnavailable, match=told) as found:
            ledger.owe("a", "operator", now=1.0)
        assert time.monotonic() - began < 2.0
        assert not found.value.lasting
        assert ledger.held() and ledger.owed() == [] and not ledger.full()
        with pytest.raises(LedgerUnavailable, match="stopped by a signal"):
            ledger.sweep(now=1.0, keep=0, keep_for=0.0) or ledger.relieve(now=1.0)
        os.kill(writer.pid, signal.SIGCONT)
        assert writer.wait(20) == 0
    assert not ledger.held()
    assert [turn.account for turn in ledger.owed()] == ["support"]
    ledger.close()


def test_a_stopped_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    with stopped_in_a_write(tmp_path):
        pass
    assert ledger.owe("a", "operator", now=1.0).id == 1
    assert [turn.account for turn in ledger.owed()] == ["a"]
    assert ledger.verify() == []
    ledger.close()


def _pids(host: Host) -> list[int]:
    status = host.status()
    return [status["dispatcher"]["pid"], *(a["endpoint"]["pid"] for a in status["accounts"])]


def test_a_stopped_writer_is_told_of_hangs_nobody_and_has_nobody_killed() -> None:
    with running(("support", "sales")) as host:
        host.configure({"support": {}, "sales": {}}, supervisor={"watchdog": "4s"})
        host.up()
        host.ready()
        before = _pids(host)
        with stopped_in_a_write(host.state.ledger) as writer:
            wait_for(lambda: stopped_writer(host.state.ledger) == writer.pid)
            for name in ("support", "sales"):
                host.raft.workspace.post(name, f"hello {name}")
            wait_for(lambda: host.said().count("action=ledger.unavailable") >= 2)
            began = time.monotonic()
            wait_for(lambda: time.monotonic() - began > 8.0)  # twice the watchdog's limit
            for account in host.status()["accounts"]:
                assert account["state"] == "degraded", account
                assert f"`kill -CONT {writer.pid}`" in account["reason"]
                assert "new wakes are refused" in account["reason"]
            assert host.run("health").returncode == exit_codes.NOT_READY
            probe = host.run("status", "--probe")
            assert probe.returncode == exit_codes.NOT_READY and "FAIL wake" in probe.stdout
            assert _pids(host) == before
        host.answered("hello support", "hello sales")
        host.ready()
        assert _pids(host) == before
        assert "killed by the watchdog" not in host.said()


def test_a_ledger_that_was_torn_at_its_birth_keeps_no_host_from_starting() -> None:
    with running(("support",)) as host:
        host.state.prepare()
        (host.state.ledger / "data.mdb").write_bytes(bytes(8192))
        host.up()
        host.ready()
        assert "action=ledger.torn" in host.said()


def test_deleted_sockets_come_back() -> None:
    with running(("support",)) as host:
        host.up()
        host.ready()
        for socket in (host.state.dispatcher_socket, host.state.supervisor_socket):
            socket.unlink()
        wait_for(host.state.dispatcher_socket.exists)
        wait_for(host.state.supervisor_socket.exists)
        host.ready()
        assert host.run("ctl", "status").returncode == exit_codes.OK
        assert host.run("stop").returncode == exit_codes.OK
        host.gone()
