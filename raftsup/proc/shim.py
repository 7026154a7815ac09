"""The shim's side of a kept child: see ``kept`` for the whole picture.

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
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil
from setproctitle import setproctitle

from raftsup.proc.linux import adopt_orphans, die_with_parent, reset_signals

TERM, KILL = b"T", b"K"
_MOST_DESCRIPTORS = 16


@dataclass(frozen=True)
class Order:
    """What to keep, as the owner sends it: one JSON line, its descriptors beside it (standard
    input, output, error, then those to hold).
    """

    title: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str | None

    def dump(self) -> bytes:
        # ASCII: what is no UTF-8 in an argument or a variable goes through escaped.
        return json.dumps([self.title, self.argv, self.env, self.cwd]).encode() + b"\n"


def wait(owner: socket.socket) -> None:
    """Wait for an order on ``owner``, carry it out, and end this process with it."""
    # Python objects of the owner still refer to descriptors that are closed below: none may be
    # collected, or it would close a descriptor that means something else by then.
    gc.disable()
    os.setpgid(0, 0)  # signals to the owner's group are the owner's
    reset_signals()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    adopt_orphans()
    setproctitle("raftsup: shim")
    _close_all_but({owner.fileno()})
    # Its own copies of 0, 1 and 2 would keep somebody's pipe open for as long as it waits.
    null = os.open(os.devnull, os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(null, target)
    os.close(null)
    data, descriptors, _, _ = socket.recv_fds(owner, 1 << 16, _MOST_DESCRIPTORS)
    while data and b"\n" not in data:
        more = owner.recv(1 << 16)
        data = data + more if more else b""
    if not data:
        os._exit(0)  # the owner is gone
    line, _, words = data.partition(b"\n")
    title, argv, env, cwd = json.loads(line)
    setproctitle(title)
    _keep(owner.fileno(), Order(title, tuple(argv), env, cwd), descriptors, words)


def _keep(control: int, order: Order, descriptors: Sequence[int], words: bytes) -> None:
    """``words``: what the owner said right behind its order."""
    stdio, hold = descriptors[:3], descriptors[3:]
    for number in (control, *stdio):
        os.set_inheritable(number, False)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

    program = _start(order, stdio, hold, control)
    if program is None:
        os._exit(0)
    # The program alone holds its pipes now, so that their readers see its end.
    for number in stdio:
        os.close(number)

    for word in words:
        _obey(bytes([word]), program, control)
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
                said = os.read(control, 1)
            except OSError:
                said = b""
            _obey(said, program, control)
        if _reap(program, control):
            _end_all(None, control)


def _start(order: Order, stdio: Sequence[int], hold: Sequence[int], control: int) -> int | None:
    failed_read, failed_write = os.pipe()
    shim = os.getpid()
    pid = os.fork()
    if pid == 0:
        failing: str | None = None
        try:
            os.setpgid(0, 0)
            die_with_parent(shim)
            reset_signals(before_exec=True)
            for target, number in enumerate(stdio):
                os.dup2(number, target)  # received descriptors: never 0, 1 or 2 themselves
            for number in hold:
                os.set_inheritable(number, True)
            failing = order.cwd
            if order.cwd is not None:
                os.chdir(order.cwd)
            failing = order.argv[0]
            os.execvpe(order.argv[0], order.argv, order.env)  # noqa: S606 - no shell is the point
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


def _obey(word: bytes, program: int, control: int) -> None:
    if word == TERM:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program, signal.SIGTERM)
    else:
        _end_all(program, control)


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
    """Kill whatever is below this shim until nothing is, then end."""
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
