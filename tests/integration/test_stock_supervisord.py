"""``conf/supervisord.conf``, unchanged, under a stock supervisord."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup import exit_codes
from tests.integration.host import RAFTSUP, Host, running, wait_for

CONF = Path(__file__).parents[2] / "conf" / "supervisord.conf"
SUPERVISORD = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(CONF)]
CTL = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(CONF)]


@pytest.fixture
def host() -> Iterator[Host]:
    with running(["support"]) as host:
        host.state.logs.mkdir(mode=0o700, parents=True)
        host.state.root.chmod(0o700)
        yield host


def start(host: Host) -> subprocess.Popen[str]:
    """Start it with the ``raftsup`` of this test's environment on its PATH."""
    tools = host.root / "bin"
    tools.mkdir()
    (tools / "raftsup").write_text(f'#!/bin/sh\nexec {" ".join(RAFTSUP)} "$@"\n')
    (tools / "raftsup").chmod(0o755)
    return host.start(argv=SUPERVISORD, PATH=f"{tools}:{os.environ['PATH']}")


def test_a_message_is_answered_and_a_killed_worker_comes_back(host: Host) -> None:
    stock = start(host)
    before = host.ready()["support"]
    host.raft.workspace.post("support", "hello")
    host.answered("hello")
    os.kill(before["endpoint"]["pid"], signal.SIGKILL)
    wait_for(lambda: host.account("support")["endpoint"]["pid"] not in
             (None, before["endpoint"]["pid"]), what="a new worker")  # fmt: skip
    host.ready()
    status = host.run("status")
    assert status.returncode == exit_codes.OK, status.stdout
    restart = host.run("restart", "accounts:support", argv=CTL)
    assert "accounts:support: started" in restart.stdout
    host.ready()
    host.raft.workspace.post("support", "again")
    host.answered("again")
    assert "action=wake.accepted" in (host.state.logs / "accounts-support.log").read_text()
    stock.terminate()
    assert stock.wait(20) == 0
    host.gone()


def test_nothing_survives_a_stock_supervisord_that_is_killed(host: Host) -> None:
    stock = start(host)
    host.ready()
    assert len(host.seen) >= 4  # supervisord, dispatcher, worker, bridge
    stock.kill()
    stock.wait()
    host.gone()
