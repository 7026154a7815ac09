"""The keeper's side of a kept child: see ``kept`` for the whole picture.

Forked from its owner, single-threaded, and it never returns into its owner's code. Its words on
the socket are ``kept``'s reports; the owner's are ``TERM`` and ``KILL``, and its silence for ever
means KILL as well.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence

import psutil
from setproctitle import setproctitle

from raftsup.lifeline import adopt_orphans, die_with_parent, reset_signals

TERM, KILL = b"T", b"K"


def keep(
    control: int,
    argv: Sequence[str],
    title: str,
    env: Mapping[str, str],
    cwd: str | None,
    stdio: tuple[int, int, int],
    hold: tuple[int, ...],
) -> None:
    """Start ``argv`` and keep it until nothing of it runs; ends this process. ``control``: the
    descriptor of the socket to the owner; the rest as for ``kept.spawn``.
    """
    # Python objects of the owner still refer to descriptors that are closed below: none may be
    # collected, or it would close a descriptor that means something else by then.
    gc.disable()
    os.setpgid(0, 0)  # signals to the owner's group are the owner's
    reset_signals()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    adopt_orphans()
    setproctitle(title)
    _close_all_but({control, *stdio, *hold})
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

    program = _start(argv, env, cwd, stdio, hold, control)
    if program is None:
        os._exit(0)
    # The program alone holds its pipes now, so that their readers see its end.
    null = os.open(os.devnull, os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(null, target)
    for spare in {*stdio} - {0, 1, 2}:
        os.close(spare)

    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 512)
                continue
            try:
                word = os.read(control, 1)
            except OSError:
                word = b""
            if word == TERM:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program, signal.SIGTERM)
            else:
                _end_all(program, control)
        if _reap(program, control):
            _end_all(None, control)


def _start(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str | None,
    stdio: tuple[int, int, int],
    hold: tuple[int, ...],
    control: int,
) -> int | None:
    failed_read, failed_write = os.pipe()
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        failing: str | None = None
        try:
            os.setpgid(0, 0)
            die_with_parent(keeper)
            reset_signals(before_exec=True)
            copies = [os.dup(number) for number in stdio]  # stdio may overlap 0, 1, 2
            for number, copy in enumerate(copies):
                os.dup2(copy, number)
                os.close(copy)
            for number in hold:
                os.set_inheritable(number, True)
            os.set_inheritable(control, False)
            for number in {*stdio} - {0, 1, 2}:
                os.set_inheritable(number, False)
            failing = cwd
            if cwd is not None:
                os.chdir(cwd)
            failing = argv[0]
            os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - no shell is the point
        except OSError as error:
            os.write(failed_write, f"{failing}: {error.strerror}".encode())
        finally:
            os._exit(127)
    os.close(failed_write)
    why = os.read(failed_read, 4096).decode(errors="replace")
    os.close(failed_read)
    if why:
        os.waitpid(pid, 0)
        _report(control, {"failed": why})
        return None
    _report(control, {"started": pid})
    return pid


def _reap(program: int | None, control: int) -> bool:
    """Collect the dead; whether the program was among them."""
    ended = False
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == program:
                ended = True
                _report(control, {"exited": status})
    return ended


def _end_all(program: int | None, control: int) -> None:
    """Kill whatever is below this keeper until nothing is, then end."""
    if program is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program, signal.SIGKILL)
    pause = 0.002
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            os._exit(0)
        if pid and pid == program:
            _report(control, {"exited": status})
        if pid:
            continue
        # Children of the killed have become ours by now: each round reaches a level deeper.
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        # What cannot be killed (a setuid program, a process in the kernel) is waited for.
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)


def _report(control: int, report: Mapping[str, object]) -> None:
    with contextlib.suppress(OSError):
        os.write(control, json.dumps(report).encode() + b"\n")


def _close_all_but(keep: set[int]) -> None:
    low = 3
    for number in sorted(n for n in keep if n >= 3):
        os.closerange(low, number)
        low = number + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
