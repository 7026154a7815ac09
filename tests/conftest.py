"""What many tests stand on: a state folder, and servers as processes of their own (xprocess)."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import settings
from xprocess import ProcessStarter

from raftsup.paths import StateDir

# How long an example takes tells of the machine: a busy one is no fault.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would every process that a test presses it in.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """A thread that a failed test left waiting must not keep the run from ending."""
    left = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    if left:
        sys.stderr.write(f"these threads did not end: {left}\n")
        sys.stdout.flush()
        os._exit(1)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A state folder that is ready for use."""
    state = StateDir(tmp_path / "s")
    state.prepare()
    return state


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Serve(Protocol):
    def __call__(self, argv: Sequence[str], env: Mapping[str, str], pattern: str) -> Path:
        """Start ``argv``, wait for a line that matches ``pattern``; the file of its output."""


@pytest.fixture
def serve(xprocess: Any) -> Iterator[Serve]:
    started = []

    def start(argv: Sequence[str], env: Mapping[str, str], pattern: str) -> Path:
        # A name of its own: xprocess keeps pid files between runs and would take a stranger's
        # process for a server that still runs.
        name = f"server-{uuid.uuid4().hex}"
        expected = pattern

        class Starter(ProcessStarter):
            pattern = expected
            args = tuple(argv)
            timeout = 30
            # It stops looking after so many lines, whether the server lives or not.
            max_read_lines = 10_000
            terminate_on_interrupt = True

        Starter.env = dict(env)
        started.append(name)
        _, log = xprocess.ensure(name, Starter)
        return Path(log)

    yield start
    for name in reversed(started):
        # The process alone: what it started is its own to end, and a test of that.
        xprocess.getinfo(name).terminate(kill_proc_tree=False)
