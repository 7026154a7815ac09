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
from typing import NoReturn

import psutil
from setproctitle import setproctitle

from raftsup.proc.linux import adopt_orphans, die_with_parent, reset_signals

TERM, KILL = b"T", b"K"
_TITLE = "raftsup: shim"
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
    #: Whether the shim waits for another order when nothing of this one runs any more.
    stays: bool = False

    def dump(self) -> bytes:
        # ASCII: what is no UTF-8 in an argument or a variable goes through escaped.
        order = [self.title, self.argv, self.env, self.cwd, self.stays]
        return json.dumps(order).encode() + b"\n"


def wait(owner: socket.socket) -> NoReturn:
    """Wait for an order on ``owner`` and carry it out; end with it, or wait for the next."""
    # Python objects of the owner still refer to descriptors that are closed below: none may be
    # collected, or it would close a descriptor that means something else by then.
    gc.disable()
    os.setpgid(0, 0)  # signals to the owner's group are the owner's
    reset_signals()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    adopt_orphans()
    setproctitle(_TITLE)
    _close_all_but({owner.fileno()})
    # Its own copies of 0, 1 and 2 would keep somebody's pipe open for as long as it waits.
    null = os.open(os.devnull, os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(null, target)
    os.close(null)
    deaths, wake_write = os.pipe()
    os.set_blocking(deaths, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    control = owner.fileno()
    os.set_inheritable(control, False)
    while True:
        order, descriptors, words = _receive(owner)
        setproctitle(order.title)
        _run(control, deaths, order, descriptors, words)
        # Its last word: without it the owner has to see to it that nothing of the program runs.
        _report(control, {"gone": True})
        if not order.stays:
            os._exit(0)
        setproctitle(_TITLE)


def _receive(owner: socket.socket) -> tuple[Order, list[int], bytes]:
    """The next order, its descriptors, and what the owner said right behind it."""
    data, descriptors = b"", list[int]()
    # What was still said to the last program, when that had ended already, is for nobody.
    while b"\n" not in (data := data.lstrip(TERM + KILL)):
        more, sent, _, _ = socket.recv_fds(owner, 1 << 16, _MOST_DESCRIPTORS)
        descriptors += sent
        if not more:
            os._exit(0)  # the owner is gone
        data += more
    line, _, words = data.partition(b"\n")
    title, argv, env, cwd, stays = json.loads(line)
    return Order(title, tuple(argv), env, cwd, stays), descriptors, words


def _run(control: int, deaths: int, order: Order, descriptors: Sequence[int], words: bytes) -> None:
    """Until nothing of the order's program runs any more."""
    stdio, hold = descriptors[:3], descriptors[3:]
    for number in stdio:
        os.set_inheritable(number, False)
    program = _start(order, stdio, hold, control)
    # The program alone holds its pipes now, so that their readers see its end.
    for number in stdio:
        os.close(number)
    over = program is None
    for word in words:
        over = over or _obey(bytes([word]), program, control)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(deaths, select.POLLIN)
    while not over:
        for descriptor, _ in poll.poll():
            if descriptor == deaths:
                with contextlib.suppress(BlockingIOError):
                    os.read(deaths, 512)
                continue
            try:
                said = os.read(control, 1)
            except OSError:
                said = b""
            over = _obey(said, program, control) or over
        over = _reap(program, control) or over
    _end_all(None, control)
    for number in hold:
        os.close(number)


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


def _obey(word: bytes, program: int | None, control: int) -> bool:
    """Whether nothing of the program runs any more."""
    if word != TERM:  # also the owner's end
        _end_all(program, control)
        return True
    if program is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program, signal.SIGTERM)
    return False


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
    """Kill whatever is below this shim until nothing is."""
    if program is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program, signal.SIGKILL)
    pause = 0.002
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
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
