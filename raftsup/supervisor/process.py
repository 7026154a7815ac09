"""A program of the parent's: forked from it, not exec'd, and restarted for ever.

supervisor's own ``Subprocess`` with two differences. The child runs a Python function in a copy
of the preloaded parent, which costs milliseconds and shares memory. And every death leads to
BACKOFF with a capped, jittered delay: neither the endless restart at once that supervisor gives
to a program that dies after ``startsecs``, nor the FATAL that nobody notices.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from setproctitle import setproctitle

from raftsup import exit_codes
from raftsup.backoff import Backoff
from raftsup.proc.linux import STEERING, die_with_parent, reset_signals
from raftsup.supervisor._compat import BaseConfig, BaseProcess, decode_wait_status

RESTART = Backoff(base=0.25, cap=60.0)
#: After so many seconds of life a death counts as the first again.
HEALTHY_S = 10.0


class ForkedProcess(BaseProcess):
    #: Deaths in a row, each less than HEALTHY_S seconds after its start.
    deaths = 0
    #: Deaths that nobody asked for, since the host began.
    restarts = 0
    #: Why the watchdog has killed it; "" until it does.
    killed = ""

    def get_execv_args(self) -> tuple[str, list[str]]:
        # Nothing is exec'd, so nothing can be missing.
        return self.config.command, [self.config.command]

    def spawn(self) -> int | None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STEERING)
        try:
            pid: int | None = super().spawn()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def _spawn_as_child(self, filename: str, argv: Sequence[str]) -> None:
        code = exit_codes.FAILED
        try:
            # Objects of the parent still refer to descriptors that are closed below; were one
            # collected, it would close a descriptor that means something else by then.
            gc.freeze()
            self.config.options.setpgrp()
            self._prepare_child_fds()
            reset_signals()
            # Ignored until the program says what it does with it: the default would be to die.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            die_with_parent(self.config.parent)
            os.umask(0o077)
            setproctitle(f"raftsup: {self.config.title}")
            code = self.config.program()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else exit_codes.FAILED
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            # Not SystemExit, which supervisor's frames would turn into "couldn't exec"; and
            # no destructors of what belongs to the parent.
            os._exit(code)

    def _prepare_child_fds(self) -> None:
        # supervisor closes one descriptor after the other up to ``minfds``: milliseconds a fork.
        os.dup2(self.pipes["child_stdin"], 0)
        os.dup2(self.pipes["child_stdout"], 1)
        os.dup2(self.pipes["child_stdout"], 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))

    def finish(self, pid: int, sts: int) -> None:
        asked, alive_for = self.killing, time.time() - self.laststart
        code, ended = decode_wait_status(sts)
        if code == exit_codes.HUNG:
            ended = "its endpoint gave no answer, so it ended itself"
        ended, self.killed = self.killed or ended, ""
        super().finish(pid, sts)
        if asked:
            self.deaths = 0
            return
        self.restarts += 1
        self.deaths = 1 if alive_for >= HEALTHY_S else self.deaths + 1
        delay = RESTART.delay(self.deaths, random.random())  # noqa: S311 - jitter
        why = f"{ended}; start {self.deaths + 1} in {delay:.1f} s"
        self.back_off(delay, why, time.time())
        self.config.options.logger.warn(f"{self.config.title}: {why}")


class ForkedConfig(BaseConfig):
    """A program's settings. Two are equal, and ``update`` leaves the process alone, when
    supervisor's own fields and ``program`` are.
    """

    optional_param_names: ClassVar[list[str]] = [*BaseConfig.optional_param_names, "program"]

    #: What the child does; its result is the exit code. Compared by value.
    program: Callable[[], int]

    def __init__(self, options: Any, *, title: str, **params: Any) -> None:
        super().__init__(options, **params)
        self.title = title
        self.parent = os.getpid()

    def make_process(self, group: Any = None) -> ForkedProcess:
        process = ForkedProcess(self)
        process.group = group
        return process
