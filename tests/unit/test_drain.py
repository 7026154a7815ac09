"""How long a drain lasts, and who is watched meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from supervisor.states import ProcessStates, SupervisorStates

from raftsup.config.model import Config, Supervisor, Turns
from raftsup.dispatcher import main as dispatcher
from raftsup.supervisor.drain import TRANSITIONS, Drain, Event, State
from raftsup.supervisor.parent import Parent


@dataclass
class Host:
    """A parent with a dispatcher, as far as a drain sees it."""

    now: float = 1000.0
    interrupted: int = 0
    options: Any = field(default_factory=lambda: SimpleNamespace(
        logger=Mock(), mood=SupervisorStates.RUNNING, stop_requests=0,
        raftsup=Config(None, (), turns=Turns(drain=20.0), supervisor=Supervisor(watchdog=4.0)),
    ))  # fmt: skip
    process: Any = field(default_factory=lambda: SimpleNamespace(
        pid=4711, state=ProcessStates.RUNNING, write=lambda letter: None, laststart=0.0, delay=0.0,
        killed="",
        config=SimpleNamespace(stopwaitsecs=60, title="dispatcher"),
    ))  # fmt: skip

    @property
    def process_groups(self) -> dict[str, Any]:
        return {dispatcher.PROGRAM: SimpleNamespace(processes={dispatcher.PROGRAM: self.process})}

    def drain(self) -> Drain:
        return Drain(self, now=lambda: self.now, wall=lambda: self.now, kill=self.kill)

    def kill(self, pid: int, number: int) -> None:
        assert (pid, number) == (4711, signal.SIGTERM)
        self.interrupted += 1

    def after(self, drain: Drain, seconds: float) -> int:
        """How often the turns were interrupted by then."""
        self.now += seconds
        drain.tick()
        return self.interrupted


@pytest.fixture
def host() -> Host:
    return Host()


def test_a_drain_lasts_as_long_as_it_takes_unless_it_was_told_a_time(host: Host) -> None:
    drain = host.drain()
    drain.begin(None)
    assert host.options.mood == SupervisorStates.SHUTDOWN
    assert host.after(drain, 1e6) == 0
    drain.begin(30.0)
    assert host.after(drain, 29.0) == 0
    assert host.after(drain, 1.0) == 1


def test_an_interrupt_that_was_lost_is_said_again_and_the_hard_end_stays_where_it_was(
    host: Host,
) -> None:
    # At once with the stop's own signal: of two the kernel may deliver one.
    drain = host.drain()
    drain.begin(0.0)
    assert host.after(drain, 0.0) == 1
    end = host.process.delay
    assert end == host.now + host.process.config.stopwaitsecs
    assert host.after(drain, 0.1) == 1
    assert host.after(drain, 1.0) == 2
    host.process.pid = 0
    assert host.after(drain, 1.0) == 2
    assert host.process.delay == end


def test_who_only_follows_a_drain_does_not_change_its_time(host: Host) -> None:
    drain = host.drain()
    drain.begin(30.0)
    drain.begin(None)
    assert host.after(drain, 30.0) == 1


@pytest.mark.parametrize("again", [None, 600.0])
def test_after_a_stop_no_drain_lasts_longer_than_the_stops_budget(
    host: Host, again: float | None
) -> None:
    drain = host.drain()
    drain.begin(None)
    host.options.stop_requests = 1
    assert host.after(drain, 0.0) == 0
    drain.begin(again)
    assert host.after(drain, 19.0) == 0
    assert host.after(drain, 1.0) == 1


def test_a_dispatcher_that_hangs_while_it_drains_is_killed_by_the_watchdog(host: Host) -> None:
    drain = host.drain()
    hung = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        host.process.pid, host.process.state = hung.pid, ProcessStates.STOPPING
        parent: Any = SimpleNamespace(
            options=host.options, drain=drain, _awake_since=0.0,
            _processes=lambda: [host.process], _beat=lambda process: 0.0,
        )  # fmt: skip
        Parent._kill_silent(parent, 100.0)
        assert hung.poll() is None, "a stop has its own end"
        drain.begin(None)
        Parent._kill_silent(parent, 100.0)
        Parent._kill_silent(parent, 100.0)
        assert hung.wait(10) == -signal.SIGKILL
        assert host.options.logger.critical.call_count == 1, "once is enough"
    finally:
        if hung.poll() is None:
            os.killpg(hung.pid, signal.SIGKILL)
        hung.communicate()


def test_a_drain_begins_before_it_interrupts_and_never_goes_back(host: Host) -> None:
    assert (State.OFF, Event.DUE) not in TRANSITIONS
    assert not any(after is State.OFF for after in TRANSITIONS.values())
    drain = host.drain()
    assert (host.after(drain, 1e6), drain.state, drain.on) == (0, State.OFF, False)
    drain.begin(1.0)
    assert (drain.state, drain.on) == (State.WAITING, True)
    assert (host.after(drain, 1.0), drain.state) == (1, State.INTERRUPTING)
    drain.begin(60.0)
    assert (drain.state, drain.on) == (State.INTERRUPTING, True)
