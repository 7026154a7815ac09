"""A host in the foreground, and what becomes of it when its terminal or its reader goes."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.host import RAFTSUP, Host, running, wait_for


@contextmanager
def in_a_terminal(host: Host) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """``raftsup up`` as the foreground process of a terminal; its master end."""
    master, slave = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [*RAFTSUP, "up"],
        env={**host.environ(), "RAFT_SIM_AGENT_SECONDS": "3"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=take_terminal,
    )
    os.close(slave)
    try:
        yield process, master
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.parametrize("how", ["closed", "reader gone"])
def test_a_host_whose_output_dies_drains_its_turns_and_stops(how: str) -> None:
    with running(("support",)) as host:
        if how == "closed":
            with in_a_terminal(host) as (process, master):
                host.ready()
                host.raft.workspace.post("support", "hello")
                wait_for(lambda: host.account("support")["turns"]["running"] == 1)
                os.close(master)
                process.wait(25)
        else:
            read, write = os.pipe()
            process = subprocess.Popen(
                [*RAFTSUP, "up"],
                env={**host.environ(), "RAFT_SIM_AGENT_SECONDS": "3"},
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                start_new_session=True,
            )
            os.close(write)
            host.ready()
            host.raft.workspace.post("support", "hello")
            wait_for(lambda: host.account("support")["turns"]["running"] == 1)
            os.close(read)
            process.send_signal(signal.SIGINT)
            process.wait(25)
        turns = host.run("turn", "list", "support").stdout
        assert "done" in turns and "attempt 1" in turns, turns
        host.gone()


def test_a_folder_that_is_somebody_elses_is_refused_and_left_as_it_is() -> None:
    with running(("support",)) as host:
        shared = host.root / "shared"
        shared.mkdir(mode=0o755)
        (shared / "precious").write_text("")
        told = host.run("up", "--state-dir", str(shared))
        assert told.returncode == 7
        assert "open to others and holds other things" in told.stderr
        assert shared.stat().st_mode & 0o777 == 0o755
        assert [path.name for path in shared.iterdir()] == ["precious"]


def test_ctl_takes_an_account_by_the_name_that_status_shows() -> None:
    with running(("support", "sales")) as host:
        host.up()
        before = host.ready()
        assert "accounts:support: started" in host.run("ctl", "restart", "support").stdout
        after = host.ready()
        assert after["support"]["endpoint"]["pid"] != before["support"]["endpoint"]["pid"]
        assert after["sales"]["endpoint"]["pid"] == before["sales"]["endpoint"]["pid"]
