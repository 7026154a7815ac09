"""A kept child: a program that is gone, with all it started, when its owner is gone.

Between the owner (an account's worker, the dispatcher) and the program stands a *shim*, forked
from the owner and joined to it by a socket pair::

    owner ──socket──> shim ──fork, exec──> program (leader of its own process group)
                        ^  adopts every orphan below it

* The owner dies, however: the shim reads end-of-file and kills everything below it.
* The program ends: what it left behind is killed, then the shim ends, or waits for the next.
* The shim is killed: the kernel kills the program, and the owner kills its group. What had left
  the group is the owner's to find (``lost``).
* The shim is stopped by a signal: it hears no order, and the owner kills it (``destroy``).

The shim reports on the socket, one JSON object a line: ``{"started": pid}``, or ``{"failed":
"why"}``, then ``{"exited": wait status}``, and ``{"gone": true}`` once nothing of the program runs
any more. The owner writes ``T`` (SIGTERM to the group) or ``K`` (kill all).

A program that is started again and again has one shim that stays: it takes the next order where
others end. So its owner, which has threads by then, need not fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raftsup.proc import shim


@dataclass
class Child:
    """The owner's end. ``control`` is non-blocking; wait for it to become readable."""

    shim: int
    control: socket.socket
    #: The program's pid and process group once it is started, else None.
    pid: int | None = None
    #: Why it could not be started, else None.
    failure: str | None = None
    #: Its wait status once it has ended, else None (also if it was lost with its shim).
    status: int | None = None
    #: Nothing of it runs any more, but for what ``lost`` says.
    gone: bool = False
    #: Its shim was killed before it had said so: what left the program's group may run still.
    lost: bool = False
    #: The shim takes another program after it.
    stays: bool = False
    #: The shim that waits for the next program now; None: it ended.
    left: Shim | None = None
    _buffer: bytearray = field(default_factory=bytearray)

    def fileno(self) -> int:
        return self.control.fileno()

    def terminate(self) -> None:
        """Ask the program's whole group to end (SIGTERM)."""
        self._say(shim.TERM)

    def kill(self) -> None:
        """Kill the program and all that it started."""
        self._say(shim.KILL)

    def destroy(self) -> None:
        """Kill the program's group and the shim, which does not obey. ``lost`` follows."""
        for number, kill in ((self.pid, os.killpg), (self.shim, os.kill)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if number is not None:
                    kill(number, signal.SIGKILL)

    def _say(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self.control.send(word)

    def read(self) -> None:
        """Take in what the shim says; call whenever ``control`` is readable."""
        while not self.gone:
            try:
                data = self.control.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.lost = True
                if self.pid is not None:
                    # The shim was killed before its program: finish its work.
                    _kill_group(self.pid)
                self._bury()
                return
            self._buffer += data
            while (end := self._buffer.find(b"\n")) >= 0:
                report = json.loads(self._buffer[:end])
                del self._buffer[: end + 1]
                self.pid = report.get("started", self.pid)
                self.failure = report.get("failed", self.failure)
                self.status = report.get("exited", self.status)
                if report.get("gone") and self.stays:
                    self.gone, self.left = True, Shim(self.shim, self.control)
                elif report.get("gone"):
                    self._bury()
                    return

    def wait(self, timeout: float) -> bool:
        """Block until nothing of it runs, at most ``timeout`` seconds; whether that is so."""
        deadline = time.monotonic() + timeout
        while not self.gone and (left := deadline - time.monotonic()) > 0:
            if select.select([self.control], [], [], left)[0]:
                self.read()
        return self.gone

    def _bury(self) -> None:
        self.control.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.shim, signal.SIGKILL)  # one that is stopped would be waited for
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.shim, 0)
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
        number = os.WTERMSIG(status)
        known = {s.value: s.name for s in signal.Signals}  # real-time signals have no names
        return f"killed by {known.get(number, f'signal {number}')}"
    return f"exited with {os.WEXITSTATUS(status)}"


@dataclass
class Shim:
    """One that is forked already and waits to be told what to run."""

    pid: int
    control: socket.socket


def prepare() -> Shim:
    """Fork a shim for later: a fork is cheap early in a process's life, and never later.

    It ends with its owner, also unused. Raises ``OSError`` if no process is to be had.
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
            shim.wait(theirs)
        finally:
            os._exit(127)
    theirs.close()
    return Shim(pid, ours)


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
    waiting: Shim | None = None,
    stays: bool = False,
) -> Child:
    """Start ``argv`` under a shim: ``waiting``, or one that is forked now. The descriptors stay
    the caller's to close. ``stays``: the shim takes another program after it (``Child.left``).

    ``argv[0]`` is looked up on ``env["PATH"]``. ``hold`` are descriptors that the shim and
    the program keep open, so that a lock on them is held as long as anything of it runs. A
    program that cannot be started is told through ``Child.failure``, not raised. Raises
    ``OSError`` if no process or descriptor is to be had.
    """
    order = shim.Order(title, tuple(argv), dict(env), cwd, stays)
    descriptors = [stdin, stdout, stderr, *hold]
    if waiting is not None:
        try:
            return _tell(waiting, order, descriptors)
        except OSError:
            dismiss(waiting)  # killed while it waited
    waiting = prepare()
    try:
        return _tell(waiting, order, descriptors)
    except OSError:
        dismiss(waiting)
        raise


def _tell(waiting: Shim, order: shim.Order, descriptors: list[int]) -> Child:
    data = order.dump()
    waiting.control.setblocking(True)
    sent = socket.send_fds(waiting.control, [data], descriptors)
    waiting.control.sendall(data[sent:])
    waiting.control.setblocking(False)
    return Child(shim=waiting.pid, control=waiting.control, stays=order.stays)


def dismiss(waiting: Shim) -> None:
    """Have it end."""
    waiting.control.close()
    with contextlib.suppress(ChildProcessError):
        os.waitpid(waiting.pid, 0)


class IdleShim:
    """One shim in waiting, forked while nobody waits for it."""

    def __init__(self) -> None:
        self._waiting: Shim | None = None

    def refill(self) -> None:
        """Fork one if there is none; a system without room for it costs only the head start."""
        if self._waiting is None:
            with contextlib.suppress(OSError):
                self._waiting = prepare()

    def take(self) -> Shim | None:
        waiting, self._waiting = self._waiting, None
        return waiting

    def close(self) -> None:
        if (waiting := self.take()) is not None:
            dismiss(waiting)
