"""What happens around a fork, without one."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from supervisor.process import Subprocess
from supervisor.states import ProcessStates

from raftsup import exit_codes
from raftsup.proc import linux
from raftsup.supervisor.process import ForkedProcess


def mask() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def test_no_signal_reaches_a_fork_before_it_has_handlers_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    during: list[set[int]] = []
    monkeypatch.setattr(Subprocess, "spawn", lambda self: during.append(mask()))
    before = mask()
    ForkedProcess.spawn(object.__new__(ForkedProcess))
    assert during[0] >= linux.STEERING
    assert mask() == before


def test_the_handlers_are_reset_before_a_waiting_signal_is_let_in() -> None:
    # In a child of its own: a SIGTERM that waits behind the mask must end it, not be swallowed.
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, linux.STEERING)
        os.kill(os.getpid(), signal.SIGTERM)
        linux.reset_signals()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("before_exec", "handler"), [(False, signal.SIG_IGN), (True, signal.SIG_DFL)]
)
def test_python_ignores_a_broken_pipe_and_a_program_does_not(
    before_exec: bool, handler: signal.Handlers
) -> None:
    pid = os.fork()
    if pid == 0:
        linux.reset_signals(before_exec=before_exec)
        os._exit(0 if signal.getsignal(signal.SIGPIPE) is handler else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    ("status", "killed", "why"),
    [
        (signal.SIGKILL, "silent for 20 s, killed by the watchdog", "silent for 20 s, killed by"),
        (signal.SIGKILL, "", "terminated by SIGKILL"),
        (exit_codes.HUNG << 8, "", "its endpoint gave no answer"),
    ],
)
def test_a_death_is_told_with_who_has_killed_it(
    status: int, killed: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Subprocess, "finish", lambda self, pid, sts: None)
    monkeypatch.setattr(Subprocess, "change_state", lambda self, state: None)
    process: Any = object.__new__(ForkedProcess)
    process.config = SimpleNamespace(title="support", options=SimpleNamespace(logger=Mock()))
    process.killing, process.laststart, process.state = False, 0.0, ProcessStates.EXITED
    process.killed = killed
    process.finish(7, status)
    assert process.spawnerr.startswith(why) and process.killed == ""
