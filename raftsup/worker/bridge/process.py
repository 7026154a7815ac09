"""Carrying out a bridge's life: one thread that starts the child, reads it and restarts it."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from raftsup import raft_home
from raftsup.log import say
from raftsup.proc.child import Child, IdleShim, Shim, dismiss, exit_text, spawn
from raftsup.raft_errors import Who
from raftsup.worker.bridge import lockfile, state
from raftsup.worker.bridge.output import Ears
from raftsup.worker.bridge.state import BridgeState, Life, Timings

LOG = logging.getLogger("raftsup.worker")
#: Seconds; a poll takes no infinity.
_LONGEST = 3600.0


def argv_of(command: Sequence[str], profile: str, endpoint: str) -> list[str]:
    """The bridge's command line (RAFT_PROTOCOL, "Starting the bridge")."""
    return [
        *command,
        *("--profile", profile, "agent", "bridge"),
        *("--wake-adapter", "wake-channel", "--wake-channel-endpoint", endpoint, "--json"),
    ]


@dataclass
class Bridge:
    """The bridge of one account. ``run`` is its thread, which must live as long as the process."""

    account: str
    who: Who
    env: Mapping[str, str]
    #: Told of each new life, in the bridge's thread.
    changed: Callable[[Life], None]
    #: A shim in waiting, forked while the worker was young and had one thread.
    idle: IdleShim = field(default_factory=IdleShim)
    life: Life = field(default_factory=Life)
    timings: Timings = field(default_factory=Timings)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _alarm: tuple[int, int] = field(default_factory=lambda: _alarm())
    #: When it said anything last, on the monotonic clock: a suspended host makes nobody deaf.
    _heard_at: float = 0.0
    #: Waits for the next start: this process has threads, and should not fork.
    _shim: Shim | None = None
    #: The lock that kept it from starting.
    _lock: Path | None = None
    #: What its profile's credential was before its last start.
    _signed_in: object = None

    def stop(self) -> None:
        """Have ``run`` end the child and return. From any thread."""
        self._stopping.set()
        with contextlib.suppress(BlockingIOError):
            os.write(self._alarm[1], b"!")

    def run(self, argv: Sequence[str]) -> None:
        """Keep a bridge running until ``stop``."""
        while not self._stopping.is_set():
            self._signed_in = self._credential()
            self._pause(self._live_once(argv))
        if self._shim is not None:
            dismiss(self._shim)
        self._become(state.stopped(self.life, time.time(), self.timings))

    def _pause(self, delay: float) -> None:
        """Wait for the next start; not for as long if a person has signed the profile in, or the
        lock in its way is another or gone.
        """
        due = time.monotonic() + delay
        locked = _stamp(self._lock)
        watched = self._lock is not None or state.awaits_credential(self.life)
        step = self.timings.look if watched else delay
        while (left := due - time.monotonic()) > 0 and not self._stopping.wait(min(step, left)):
            if self._is_signed_in_anew():
                return
            if _stamp(self._lock) != locked:
                return

    def _is_signed_in_anew(self) -> bool:
        if self._credential() == self._signed_in:
            return False
        LOG.info(say("bridge.signed_in", profile=self.who.profile))
        return True

    def _credential(self) -> object:
        return _stamp(raft_home.credential(self.who.profile, self.env))

    def _live_once(self, argv: Sequence[str]) -> float:
        """One start and one end; the seconds to the next start."""
        self._lock = None
        try:
            waiting, self._shim = self._shim or self.idle.take(), None
            child, out, err = _spawn(argv, self.account, self.env, waiting)
        except OSError as error:
            return self._not_started(str(error))
        said = Ears(self._hear_event, self._hear_diagnostic)
        try:
            killed = self._watch(child, out, err, said)
        finally:
            os.close(out)
            os.close(err)
        self._shim = child.left
        if child.failure is not None:
            return self._not_started(child.failure)
        return self._after(child, "\n".join(said.last), killed)

    def _not_started(self, why: str) -> float:
        dice = random.random()  # noqa: S311
        life, delay = state.not_started(self.life, why, time.time(), dice, self.timings)
        self._become(life)
        return delay

    def _after(self, child: Child, stderr: str, killed: str) -> float:
        if self._stopping.is_set() or self.life.pid is None:
            return 0.0  # an end that was asked for is no death, and what never ran has none
        life, delay = state.ended(
            self.life,
            exit_text=exit_text(child.status),
            stderr=stderr,
            who=self.who,
            now=time.time(),
            random=random.random(),  # noqa: S311
            timings=self.timings,
            killed=killed,
        )
        if "BRIDGE_ALREADY_RUNNING" in life.reason + stderr:
            life, delay = self._locked_out(life, stderr, delay)
        self._become(life)
        return delay

    def _locked_out(self, life: Life, stderr: str, delay: float) -> tuple[Life, float]:
        path, due = lockfile.told_path(stderr), time.time() + delay
        if path is None:
            return state.locked_out(life, "the CLI named no lock file", due), delay
        try:
            verdict = lockfile.heal(path, self.who.profile)
        except FileNotFoundError:
            return life, self.timings.quick.base  # whoever held it is gone
        except OSError as error:
            why = f"cannot look at {path}: {error.strerror}"
            return state.locked_out(life, why, due), delay
        if verdict.stale:
            LOG.warning(say("bridge.lock.healed", path=path, reason=verdict.why))
            return state.unlocked(life, verdict.why), self.timings.quick.delay(life.failures)
        self._lock = path
        if verdict.newborn:
            delay = lockfile.NEWBORN
        return state.locked_out(life, verdict.why, time.time() + delay), delay

    def _watch(self, child: Child, out: int, err: int, said: Ears) -> str:
        """Follow the child until nothing of it runs; why we ended it by ourselves, or "".

        It is ended politely when the worker stops, or when its credential was refused and there is
        another; at once when it has been silent for too long: what is deaf to its server is deaf
        to a signal as likely.
        """
        poll = select.poll()
        for descriptor in (child.fileno(), self._alarm[0]):
            poll.register(descriptor, select.POLLIN)
        control, kill_at, killed, end = child.fileno(), float("inf"), "", child.kill
        self._heard_at = time.monotonic()
        while not child.gone:
            next_at = min(kill_at, self._judged_at())
            patience = max(0.0, next_at - time.monotonic())
            ready = {fd for fd, _ in poll.poll(min(patience, _LONGEST) * 1e3)}
            for descriptor, hear in ((out, said.out), (err, said.err)):
                if descriptor in ready and not hear(_read(descriptor)):
                    poll.unregister(descriptor)
            if control in ready and self._read_control(child):
                # Not before: a quick bridge speaks before its shim has told of its start, and
                # what one says that has not started does not count.
                poll.register(out, select.POLLIN)
                poll.register(err, select.POLLIN)
            if self._alarm[0] in ready:
                _read(self._alarm[0])
            if kill_at == float("inf") and not child.gone:
                killed, kill_at = self._end(child)
            if time.monotonic() >= kill_at and not child.gone:
                end()
                end = child.destroy  # a shim that is stopped kills nobody
                kill_at = time.monotonic() + self.timings.term_grace
        # What it said last is still in the pipes: mostly the reason of its end.
        for descriptor, hear in ((out, said.out), (err, said.err)):
            while hear(_read(descriptor)):
                pass
        return killed

    def _end(self, child: Child) -> tuple[str, float]:
        """End it if that is wanted, or it is of no use: why, "" where the worker stops, and when
        the hard end is due, on the monotonic clock.
        """
        now = time.monotonic()
        if self._stopping.is_set():
            killed = ""
        elif self._is_too_silent():
            killed = f"ended by raftsup after {self.timings.restart:g} s of silence"
            LOG.warning(say("bridge.silent.killed", pid=child.pid, reason=killed))
            return killed, now
        elif self._is_replaced():
            killed = "ended by raftsup: its profile was signed in anew"
        else:
            return "", float("inf")
        child.terminate()
        return killed, now + self.timings.term_grace

    def _judged_at(self) -> float:
        """When it is to be judged next without a word of it, on the monotonic clock."""
        if self.life.pid is None:
            return float("inf")
        silent = self.life.state is BridgeState.SILENT
        at = self._heard_at + (self.timings.restart if silent else self.timings.silence)
        if state.awaits_credential(self.life):
            return min(at, time.monotonic() + self.timings.look)
        return at

    def _is_too_silent(self) -> bool:
        """Tell of a silence that has lasted too long; whether it is time to end the bridge."""
        if self.life.pid is None:
            return False
        silence = time.monotonic() - self._heard_at
        if silence >= self.timings.silence and self.life.state is not BridgeState.SILENT:
            self._become(state.silent(self.life, self.account, time.time(), self.timings))
        return silence >= self.timings.restart

    def _is_replaced(self) -> bool:
        """Whether it runs on a credential that is refused, and there is another."""
        refused = self.life.pid is not None and state.awaits_credential(self.life)
        return refused and self._is_signed_in_anew()

    def _read_control(self, child: Child) -> bool:
        """Hear the shim; whether it has told of the start just now."""
        before = child.pid
        child.read()
        if child.pid is None or before is not None:
            return False
        life = state.started(self.life, child.pid, time.time())
        LOG.info(say("bridge.started", pid=child.pid, restarts=life.restarts))
        self._heard_at = time.monotonic()
        self._become(life)
        return True

    def _hear_event(self, line: bytes) -> None:
        self._heard_at = time.monotonic()
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            event = None
        event = event if isinstance(event, dict) else {}
        self._become(state.said(self.life, event, time.time(), self.timings))

    def _hear_diagnostic(self, line: str) -> None:
        self._heard_at = time.monotonic()
        LOG.info(say("bridge.said", line=line))
        self._become(state.spoke(self.life, time.time()))

    def _become(self, life: Life) -> None:
        if life == self.life:
            return
        before, self.life = self.life.state, life
        if life.state is not before:
            well = life.pid is not None or life.state is BridgeState.STOPPED
            level = logging.INFO if well else logging.WARNING
            LOG.log(level, say(f"bridge.{life.state}", reason=life.reason or None, pid=life.pid))
        self.changed(life)


def _alarm() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write


def _stamp(path: Path | None) -> object:
    """What changes when the file is written anew or removed."""
    try:
        info = path.stat() if path else None
    except OSError:
        return None
    return info and (info.st_mtime_ns, info.st_ino, info.st_size)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def _spawn(
    argv: Sequence[str], account: str, env: Mapping[str, str], waiting: Shim | None
) -> tuple[Child, int, int]:
    """Start the bridge under a shim; its control, and its two streams to read."""
    out, out_write = os.pipe()
    err, err_write = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    os.set_blocking(out, False)
    os.set_blocking(err, False)
    try:
        child = spawn(
            argv,
            title=f"raftsup: bridge of {account}",
            env=env,
            stdin=null,
            stdout=out_write,
            stderr=err_write,
            waiting=waiting,
            stays=True,
        )
    except OSError:
        os.close(out)
        os.close(err)
        raise
    finally:
        for descriptor in (out_write, err_write, null):
            os.close(descriptor)
    return child, out, err
