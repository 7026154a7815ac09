"""All that raftsup takes from inside supervisor; nothing else imports its modules.

supervisor documents its XML-RPC calls, ``supervisorctl`` and ``supervisord.conf``. What is here
are its internals: they may change with any version, so ``setup.cfg`` holds supervisor below the
next one, and ``tests/unit/test_contracts.py`` says what moved. The classes below are supervisor's,
with the attributes that we read or set declared; each way in which we change one of its objects
from outside is a function or method here.
"""

from __future__ import annotations

import contextlib
import http.client
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from supervisor.datatypes import RestartUnconditionally
from supervisor.loggers import Handler
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import (
    ProcessConfig,
    ProcessGroupConfig,
    ServerOptions,
    decode_wait_status,
    make_namespec,
    split_namespec,
)
from supervisor.process import Subprocess
from supervisor.rpcinterface import (
    SupervisorNamespaceRPCInterface,
    isNotRunning,
    isRunning,
    make_allfunc,
)
from supervisor.states import RUNNING_STATES, STOPPED_STATES, ProcessStates, SupervisorStates
from supervisor.supervisord import Supervisor
from supervisor.xmlrpc import Faults, RPCError, SupervisorTransport

__all__ = [
    "RUNNING_STATES", "STOPPED_STATES", "BaseConfig", "BaseInterface", "BaseOptions", "BaseParent",
    "BaseProcess", "ExitNow", "Faults", "Group", "GroupConfig", "ProcessGroupConfig",
    "ProcessStates", "RPCError", "RestartUnconditionally", "SupervisorStates",
    "decode_wait_status", "for_each", "isNotRunning", "isRunning", "make_namespec",
    "mute_failing_logs", "split_namespec", "transport",
]  # fmt: skip

#: Seconds between two looks of a deferred answer at what it waits for.
_DEFERRED_POLL_S = 0.05


class GroupConfig(Protocol):
    """supervisor's ``ProcessGroupConfig``."""

    name: str
    process_configs: list[Any]


class Group(Protocol):
    """supervisor's ``ProcessGroup``: the processes of one group config, by name."""

    config: Any
    processes: dict[str, Any]

    def stop_all(self) -> None: ...
    def get_unstopped_processes(self) -> list[Any]: ...


class BaseConfig(ProcessConfig):  # type: ignore[misc]
    """The settings of one program."""

    options: Any
    name: str
    command: str
    stopwaitsecs: float


class BaseProcess(Subprocess):  # type: ignore[misc]
    """One program: its state, its pid, and when supervisor's loop does the next thing with it."""

    config: Any
    group: Any
    state: int
    pid: int
    #: Unix seconds; 0: never.
    laststart: float
    laststop: float
    #: Unix seconds of the next start (BACKOFF) or of SIGKILL (STOPPING).
    delay: float
    backoff: int
    #: A stop was asked for.
    killing: bool
    spawnerr: str | None
    pipes: dict[str, int]

    def back_off(self, delay: float, why: str, now: float) -> None:
        """Have supervisor's loop start it again ``delay`` seconds after ``now``."""
        if self.state != ProcessStates.BACKOFF:
            self.change_state(ProcessStates.BACKOFF)
        # supervisor takes a delay longer than ``backoff`` seconds for a clock that was set back.
        self.backoff = max(1, math.ceil(delay))
        self.delay = now + delay
        self.spawnerr = why


class BaseOptions(ServerOptions):  # type: ignore[misc]
    """supervisord's settings, its signals, and what it is about to do (``mood``)."""

    mood: int
    logger: Any
    process_group_configs: list[Any]
    #: Its settings and itself, of each server.
    httpservers: list[tuple[Any, Any]]

    def begin(self, argv: list[str]) -> None:
        """Read supervisord's own file, as its ``main`` does for a first start."""
        self.realize(argv)
        self.first, self.test = True, False

    def keep_socket(self, parent: BaseParent, path: Path) -> None:
        """Listen at ``path`` again where that was deleted."""
        if self.httpservers and not path.exists():
            with contextlib.suppress(OSError, ValueError):  # its folder is gone as well
                servers = self.make_http_servers(parent)
                for _, server in self.httpservers:
                    server.close()
                self.httpservers = servers

    def limit_poll(self, timeout: Callable[[], float]) -> None:
        """Have the main loop sleep no longer than ``timeout()``. It sleeps a whole second
        whatever is due: restarts and stops would lag.
        """
        poll = self.poller.poll
        self.poller.poll = lambda longest: poll(min(longest, timeout()))


class BaseParent(Supervisor):  # type: ignore[misc]
    """supervisord's main loop, which calls ``tick`` at each turn."""

    options: Any
    process_groups: dict[str, Group]
    #: What is still to be stopped; set once the host stops.
    stop_groups: list[Group] | None
    stopping: bool


class BaseInterface(SupervisorNamespaceRPCInterface):  # type: ignore[misc]
    """supervisor's XML-RPC calls."""

    supervisord: Any


def for_each(
    interface: BaseInterface,
    found: list[tuple[Any, Any]],
    condition: Callable[..., bool],
    act: Callable[..., Any],
    *,
    wait: bool,
) -> Any:
    """The answer to a call that does ``act`` to those of ``found`` (group, process) that meet
    ``condition``, given when that is done.
    """
    deferred = make_allfunc(found, condition, act, wait=wait)
    deferred.delay = _DEFERRED_POLL_S
    deferred.rpcinterface = interface
    return deferred


def mute_failing_logs() -> None:
    """Have a log that cannot be written (a closed terminal, a full disk) cost its lines alone.
    supervisor reports that on standard error, which mostly is as dead, and that would end it.
    """
    Handler.handleError = lambda self: None


def transport(
    username: str, password: str, url: str, connect: Callable[[], http.client.HTTPConnection]
) -> Any:
    """supervisor's XML-RPC transport over ``connect()``: its own has no timeout, and would wait
    for ever for a parent that hangs.
    """
    made = SupervisorTransport(username, password, url)
    made._get_connection = connect
    return made
