"""A kept child: a program that is gone, with all it started, when its owner is gone.

Between the owner (an account's worker, the dispatcher) and the program stands a *keeper*, forked
from the owner and joined to it by a socket pair::

    owner ──socket──> keeper ──fork, exec──> program (leader of its own process group)
                        ^  adopts every orphan below it

* The owner dies, however: the keeper reads end-of-file and kills everything below it.
* The program ends: what it left behind is killed, then the keeper ends.
* The keeper is killed: the kernel kills the program, and the owner kills its group.

So end-of-file at the owner means that nothing of the program runs any more. The keeper reports
on the socket, one JSON object a line: ``{"started": pid}``, or ``{"failed": "why"}``, then
``{"exited": wait status}``. The owner writes ``T`` (SIGTERM to the group) or ``K`` (kill all).
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
from dataclasses import dataclass, field

import psutil
from setproctitle import setproctitle

from raftsup.lifeline import adopt_orphans, die_with_parent, reset_signals

_TERM, _KILL = b"T", b"K"


@dataclass
class Kept:
    """The owner's end. ``control`` is non-blocking; wait for it to become readable."""

    keeper: int
    control: socket.socket
    #: The program's pid and process group once it is started, else None.
    pid: int | None = None
    #: Why it could not be started, else None.
    failure: str | None = None
    #: Its wait status once it has ended, else None (also if it was lost with its keeper).
    status: int | None = None
    #: Nothing of it runs any more.
    gone: bool = False
    _buffer: bytearray = field(default_factory=bytearray)

    def fileno(self) -> int:
        return self.control.fileno()

    def terminate(self) -> None:
        """Ask the program's whole group to end (SIGTERM)."""
        self._say(_TERM)

    def kill(self) -> None:
        """Kill the program and all that it started."""
        self._say(_KILL)

    def _say(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self.control.send(word)

    def read(self) -> None:
        """Take in what the keeper says; call whenever ``control`` is readable."""
        while not self.gone:
            try:
                data = self.control.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._bury()
                return
            self._buffer += data
            while (end := self._buffer.find(b"\n")) >= 0:
                report = json.loads(self._buffer[:end])
                del self._buffer[: end + 1]
                self.pid = report.get("started", self.pid)
                self.failure = report.get("failed", self.failure)
                self.status = report.get("exited", self.status)

    def wait(self, timeout: float) -> bool:
        """Block until nothing of it runs, at most ``timeout`` seconds; whether that is so."""
        deadline = time.monotonic() + timeout
        while not self.gone and (left := deadline - time.monotonic()) > 0:
            if select.select([self.control], [], [], left)[0]:
                self.read()
        return self.gone

    def _bury(self) -> None:
        if self.status is None and self.failure is None and self.pid is not None:
            # The keeper was killed before its program: finish its work.
            _kill_group(self.pid)
        self.control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.keeper, 0)
        self.gone = True


def _kill_group(group: int) -> None:
    """Kill a process group; return once it is empty (or only the kernel still holds it)."""
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError:
            return
        time.sleep(0.002)


def exit_text(status: int | None) -> str:
    """A wait status in words: ``exited with 3``, ``killed by SIGTERM``."""
    if status is None:
        return "lost"
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exited with {os.WEXITSTATUS(status)}"


def spawn(
    argv: Sequence[str],
    *,
    title: str,
    env: Mapping[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
    cwd: str | None = None,
    hold: Sequence[int] = (),
) -> Kept:
    """Start ``argv`` under a keeper. The descriptors stay the caller's to close.

    ``argv[0]`` is looked up on ``env["PATH"]``. ``hold`` are descriptors that the keeper and
    the program keep open, so that a lock on them is held as long as anything of it runs. A
    program that cannot be started is told through ``Kept.failure``, not raised. Raises
    ``OSError`` if no process or descriptor is to be had.
    """
    ours, theirs = socket.socketpair()
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        try:
            _keep(theirs.fileno(), argv, title, env, cwd, (stdin, stdout, stderr), tuple(hold))
        finally:
            os._exit(127)
    theirs.close()
    ours.setblocking(False)
    return Kept(keeper=pid, control=ours)


def _keep(
    control: int,
    argv: Sequence[str],
    title: str,
    env: Mapping[str, str],
    cwd: str | None,
    stdio: tuple[int, int, int],
    hold: tuple[int, ...],
) -> None:
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
            if word == _TERM:
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
            reset_signals()
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
        time.sleep(0.002)


def _report(control: int, report: Mapping[str, object]) -> None:
    with contextlib.suppress(OSError):
        os.write(control, json.dumps(report).encode() + b"\n")


def _close_all_but(keep: set[int]) -> None:
    low = 3
    for number in sorted(n for n in keep if n >= 3):
        os.closerange(low, number)
        low = number + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
