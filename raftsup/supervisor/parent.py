"""The parent: supervisor's ``supervisord`` in this process, forking children of our own kind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from raftsup import exit_codes
from raftsup.config.model import Config
from raftsup.ledger import LedgerError, open_ledger
from raftsup.paths import StateDir
from raftsup.proc import liveness, lockfile, reexec
from raftsup.supervisor import file_watch, handover, programs, sd_notify, supervisord_conf, watchdog
from raftsup.supervisor._compat import (
    RUNNING_STATES,
    BaseParent,
    ExitNow,
    Group,
    ProcessStates,
    SupervisorStates,
    mute_failing_logs,
)
from raftsup.supervisor.drain import Drain
from raftsup.supervisor.options import Options
from raftsup.supervisor.reload import Reloads
from raftsup.worker.worker import preload

#: Seconds that the main loop sleeps while something is about to change, and otherwise.
_BUSY_POLL_S, _IDLE_POLL_S = 0.05, 0.5
_PHASES = {
    SupervisorStates.RUNNING: sd_notify.Phase.RUNNING,
    SupervisorStates.RESTARTING: sd_notify.Phase.RESTARTING,
    SupervisorStates.SHUTDOWN: sd_notify.Phase.STOPPING,
    SupervisorStates.FATAL: sd_notify.Phase.STOPPING,
}
_SETTLED = (ProcessStates.RUNNING, ProcessStates.STOPPED, ProcessStates.FATAL)
#: A gap of so many seconds between two ticks, or of half the watchdog's limit, means that this
#: host was not running (suspended, stopped).
_SUSPENDED_S = 10.0


class Parent(BaseParent):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.stop_groups: list[Group] | None = None
        self.reloads, self.drain = Reloads(self), Drain(self)
        options.noted = self.reloads.noted  # type: ignore[method-assign]
        self._awake_since = self._last_tick = time.time()
        self._listener = sd_notify.listener(os.environ, os.getpid())
        self._sent = sd_notify.Sent(time.monotonic())
        options.limit_poll(self._poll_timeout)

    def ordered_stop_groups_phase_1(self) -> None:
        # All at once: a stop must fit the budget with fifty accounts as with one. The order
        # that matters (endpoint after bridge) is kept inside each worker.
        for group in self.stop_groups or ():
            group.stop_all()

    def ordered_stop_groups_phase_2(self) -> None:
        self.stop_groups = [g for g in self.stop_groups or () if g.get_unstopped_processes()]

    def tick(self, now: float | None = None) -> None:
        super().tick(now)
        moment = time.time()
        gap = moment - self._last_tick
        # A clock that was set back: what was stamped before lies in the future.
        if gap < 0 or gap > min(_SUSPENDED_S, self.options.raftsup.supervisor.watchdog / 2):
            self._awake_since = moment
        self._last_tick = moment
        self._kill_silent(moment)
        self.options.keep_socket(self, self.options.state.supervisor_socket)
        self.reloads.tick()
        self.drain.tick()
        if self._listener.address:
            self._tell_service_manager()
        if self.options.stop_requests > 1:
            for process in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    if process.pid:
                        os.killpg(process.pid, signal.SIGKILL)

    def ending(self) -> str:
        """Why nothing can be changed any more."""
        if self.options.mood == SupervisorStates.RESTARTING:
            return "the host is restarting, and reads the file anew then"
        return f"the host is {'draining' if self.drain.on else 'stopping'}"

    def _kill_silent(self, now: float) -> None:
        limit = self.options.raftsup.supervisor.watchdog
        watched = [
            process
            for process in self._processes()
            if process.pid
            and not process.killed
            and (process.state in RUNNING_STATES or self.drain.awaits(process))
        ]
        silent = [
            process
            for process in watched
            if watchdog.is_silent(
                (process.laststart, self._beat(process), self._awake_since), now, limit
            )
        ]
        stopped = [process for process in watched if silent and liveness.stopped(process.pid)]
        if stopped:
            self._awake_since = now
        for process in watchdog.first(silent, stopped):
            why = f"silent for {limit:g} s" if process in silent else "stopped by a signal"
            process.killed = f"{why}, killed by the watchdog"
            title = f"{process.config.title} (pid {process.pid})"
            self.options.logger.critical(f"{title}: {process.killed}")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _tell_service_manager(self) -> None:
        wanted = [p for p in self._processes() if p.state != ProcessStates.STOPPED]
        waiting = [
            process.config.title
            for process in wanted
            if not process.pid or self._beat(process) < process.laststart
        ]
        phase = sd_notify.Phase.DRAINING if self.drain.on else _PHASES[self.options.mood]
        seen = sd_notify.Snapshot(phase, len(wanted), waiting)
        lines, self._sent = sd_notify.messages(
            seen, self._sent, time.monotonic(), self._listener.watchdog
        )
        self._listener.tell(*lines)

    def _beat(self, process: Any) -> float:
        name = programs.heartbeat_name(process.group.config.name, process.config.name)
        try:
            return float(self.options.state.heartbeat(name).stat().st_mtime)
        except OSError:
            return 0.0

    def _poll_timeout(self) -> float:
        settled = all(process.state in _SETTLED for process in self._processes())
        started = all(process.laststart for process in self._processes())
        return _IDLE_POLL_S if settled and started and not self.stopping else _BUSY_POLL_S

    def _processes(self) -> list[Any]:
        return [p for group in self.process_groups.values() for p in group.processes.values()]


def run(
    config: Config,
    load: Callable[[], Config],
    state: StateDir,
    environ: Mapping[str, str],
    lock: int,
    *,
    quiet: bool = False,
) -> int:
    """Run the host in the foreground until it is told to stop; an exit code.

    ``lock``: the descriptor of the state folder's lock, held by the caller. ``quiet``: nothing
    on standard output; the log is in the state folder either way.
    """
    mute_failing_logs()
    # supervisord's logs and sockets are as private as the rest of the state folder.
    umask = os.umask(0o077)
    conf_file = supervisord_conf.write(state, len(config.accounts))
    options = Options(config, load, state, environ, umask)
    options.begin(["-c", str(conf_file), *(["--silent"] if quiet else [])])
    # The one place that makes a ledger: programs that are started later would have each its own.
    with contextlib.suppress(LedgerError):  # they tell why it cannot be opened
        open_ledger(state.ledger, config.ledger.map_size).close()
    preload()
    # What is loaded by now is shared by all children: keep the collector from touching it.
    gc.collect()
    gc.freeze()
    parent = Parent(options)
    with contextlib.suppress(ExitNow):
        parent.main()
    options.close_httpservers()
    options.close_logger()
    _let_go_of_stdout()
    if options.mood == SupervisorStates.RESTARTING:
        # Start over with today's code and config; a file that is just being saved is no end, and
        # one that is broken by now is none either.
        file_watch.await_whole(load)
        if not options.stopped_at_last():
            handover.leave_config(parent.reloads.file, os.environ)
            handover.leave_lock(lock, os.environ)
            os.umask(umask)
            os.execv(sys.executable, reexec.argv("raftsup", *sys.argv[1:]))  # noqa: S606
    os.close(lock)
    return exit_codes.OK


def _let_go_of_stdout() -> None:
    """Have Python's last flush not fail on a reader that is gone."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def take_lock(state: StateDir) -> int:
    """Become the one host of ``state``. Raises ``flock.Held``, ``StateDirError``."""
    state.prepare()
    # A moment's wait: a ``status`` that looks at the lock, or a dead host's last fork, holds it
    # for an instant, and a refusal under systemd is final.
    return lockfile.take(state.lock, wait=1.0)
