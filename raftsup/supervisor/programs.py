"""From a config to supervisor's programs: the dispatcher, and a worker for each account."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raftsup import log
from raftsup.config.errors import ConfigError, Problem
from raftsup.config.model import Config
from raftsup.dispatcher import main as dispatcher
from raftsup.dispatcher.config_pipe import ConfigReceiver
from raftsup.paths import StateDir
from raftsup.supervisor._compat import ProcessGroupConfig, RestartUnconditionally
from raftsup.supervisor.process import ForkedConfig
from raftsup.worker import worker

ACCOUNTS = "accounts"
_STDIN = 0
#: Seconds beyond a program's own drain before it is killed.
_KILL_MARGIN_S = 5
_LOG_BYTES = 5 << 20
_LOG_BACKUPS = 2
_PRIORITY = {dispatcher.PROGRAM: 10, ACCOUNTS: 20}


@dataclass(frozen=True)
class DispatcherProgram:
    """Has the config in force when it starts, and by letter from then on: a change restarts
    nothing, and what the parent refused is never read.
    """

    state: StateDir
    #: The operator's own: what agents write is theirs to share.
    umask: int
    latest: Callable[[], Config] = field(compare=False)
    environ: Mapping[str, str] = field(compare=False)

    def __call__(self) -> int:
        os.umask(self.umask)
        log.start(dispatcher.PROGRAM)
        return dispatcher.run(
            self.latest(),
            _by_letter_only,
            self.state,
            self.environ,
            ConfigReceiver(_STDIN),
            creates=False,
        )


def _by_letter_only() -> Config:
    raise ConfigError(
        [Problem("the dispatcher", "has its config from its parent", "say `raftsup reload`")]
    )


@dataclass(frozen=True)
class WorkerProgram:
    settings: worker.Settings
    environ: Mapping[str, str] = field(compare=False)

    def __call__(self) -> int:
        log.start(self.settings.account)
        return worker.run(self.settings, self.environ, creates=False)


def groups(
    options: Any,
    config: Config,
    state: StateDir,
    latest: Callable[[], Config],
    environ: Mapping[str, str],
    umask: int,
) -> list[ProcessGroupConfig]:
    """The two groups of a host. ``latest`` gives the config in force. ``umask`` is the one that
    agents get.
    """
    first = _program(
        options,
        state,
        group=dispatcher.PROGRAM,
        name=dispatcher.PROGRAM,
        command="dispatcher",
        stop=dispatcher_stop(config),
        program=DispatcherProgram(state, umask, latest, environ),
    )
    workers = [
        _program(
            options,
            state,
            group=ACCOUNTS,
            name=account.id,
            command=f"worker {account.id}",
            stop=worker.STOP_BUDGET + _KILL_MARGIN_S,
            program=WorkerProgram(worker.settings_of(config, account, state), environ),
        )
        for account in config.accounts
        if account.runs
    ]
    return [
        ProcessGroupConfig(options, dispatcher.PROGRAM, _PRIORITY[dispatcher.PROGRAM], [first]),
        ProcessGroupConfig(options, ACCOUNTS, _PRIORITY[ACCOUNTS], workers),
    ]


def dispatcher_stop(config: Config) -> int:
    """Seconds that the dispatcher gets before SIGKILL; no program of a host gets more.

    The drain may change at a reload, which must not restart the dispatcher: this is the longest
    that is ever waited, the dispatcher keeps its own time.
    """
    return max(round(config.turns.drain) + _KILL_MARGIN_S, 60)


def heartbeat_name(group: str, process: str) -> str:
    """The name under which a program touches its heartbeat."""
    return worker.heartbeat_name(process) if group == ACCOUNTS else process


def _program(
    options: Any,
    state: StateDir,
    *,
    group: str,
    name: str,
    command: str,
    stop: float,
    program: Callable[[], int],
) -> ForkedConfig:
    log_name = name if group == name else f"{group}-{name}"
    quiet = {
        f"{stream}_{key}": value
        for stream in ("stdout", "stderr")
        for key, value in (
            ("capture_maxbytes", 0),
            ("events_enabled", False),
            ("syslog", False),
            ("logfile_backups", _LOG_BACKUPS),
            ("logfile_maxbytes", _LOG_BYTES),
        )
    }
    return ForkedConfig(
        options,
        title=name if group == name else f"{group}:{name}",
        program=program,
        name=name,
        uid=None,
        # What it would be on a stock supervisord; nothing is exec'd here.
        command=f"{sys.executable} -m raftsup {command}",
        directory=None,
        umask=0o077,
        priority=_PRIORITY[group],
        autostart=True,
        autorestart=RestartUnconditionally,
        startsecs=1,
        startretries=sys.maxsize,
        stdout_logfile=str(state.logs / f"{log_name}.log"),
        stderr_logfile=None,
        redirect_stderr=True,
        stopsignal=signal.SIGTERM,
        stopwaitsecs=stop,
        # The worker ends its bridge and the dispatcher its turns in their own order; only the
        # hard end is the whole group's.
        stopasgroup=False,
        killasgroup=True,
        exitcodes=[os.EX_OK],
        environment={},
        serverurl=None,
        **quiet,
    )
