"""Starting, stopping and restarting the host: through its service manager where it has one.

Behind the manager's back a stop would look like a crash, and a start would keep the
manager's own host from starting.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from raftsup.config.errors import ConfigError
from raftsup.config.model import Config
from raftsup.errors import RaftsupError
from raftsup.ops import status
from raftsup.ops.service import control, detect
from raftsup.ops.service.control import Unit, Verb
from raftsup.ops.service.detect import Installed, Manager
from raftsup.ops.status.account_state import AccountState
from raftsup.ops.status.document import AccountStatus, Status
from raftsup.paths import StateDir
from raftsup.proc import liveness, lockfile
from raftsup.terminal import share
from raftsup.wait import until

Say = Callable[[str], None]
#: Seconds between looks, and between two words to a person who waits.
_POLL_S, _PROGRESS_EVERY_S = 0.05, 5.0
#: Seconds that accounts may take to get ready before we only tell how they are: many CLIs that
#: start at once on a small machine, and a server that is slow to answer.
_SETTLE_S = 30.0
_COMING = (AccountState.STARTING, AccountState.CONNECTING)
#: Seconds until a host that launchd was asked for is there.
_APPEAR_S = 5.0
#: Words of ``up`` that are not for its restart.
_HOW = ("-d", "--detach", "--force", "--quiet")


class StillRuns(RaftsupError):
    """The host did not end in time; the message says what to do."""


def stop(state: StateDir, timeout: float, say: Say) -> int | None:
    """Drain and end the host; its pid, or None if none ran. Raises ``StillRuns``.

    A second stop, while the first one drains, interrupts the turns.
    """
    pid = lockfile.holder(state.lock)
    service = detect.of(state.root)
    unit = _stopped_by_manager(service, say if pid else _nothing) if service else None
    if not pid:
        return None
    if needs_signal(pid, unit):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    _until_gone(state, pid, timeout, say)
    return pid


def _until_gone(state: StateDir, pid: int, timeout: float, say: Say) -> None:
    told = 0.0

    def waiting(seconds: float) -> None:
        nonlocal told
        if seconds - told > _PROGRESS_EVERY_S:
            told = seconds
            say(f"waiting for pid {pid} to drain ({seconds:.0f} s)")

    if liveness.stopped(pid):
        # It has the signal and acts on it once it goes on: no word of draining would be true.
        raise StillRuns(f"the host cannot stop: {liveness.by_signal(pid)}, and then it stops")
    if not until(lambda: lockfile.holder(state.lock) != pid, timeout, _POLL_S, waiting):
        raise StillRuns(
            f"pid {pid} still drains after {timeout:g} s; a second `raftsup stop` interrupts its"
            " turns (they are queued again at the next start)"
        )


def needs_signal(pid: int, unit: Unit | None) -> bool:
    """Whether ``pid`` must be told by us. ``unit``: its manager's view before it was asked to
    stop it; None where there is no manager, or it could not be asked.
    """
    if unit is None:
        return True
    # A unit that is stopping already would not be told twice, and a host that somebody started
    # by hand is not the manager's.
    return unit.stopping or (unit.pid is not None and unit.pid != pid)


def _stopped_by_manager(service: Installed, say: Say) -> Unit | None:
    try:
        unit = control.look(service)
        # Also where no host runs: the manager may be about to start one again.
        control.ask(service, Verb.STOP)
    except control.Refused as error:
        say(f"the service manager did not do it, stopping the host itself: {error}")
        return None
    return unit


def started_as(pid: int) -> tuple[list[str], str] | None:
    """The words after ``raftsup`` that the host ``pid`` was started with, but those that say how
    to start, and the folder that it was started in. None where they cannot be told.
    """
    try:
        process = psutil.Process(pid)
        argv, folder = process.cmdline(), process.cwd()
    except psutil.Error:
        return None
    after = next((n for n, word in enumerate(argv) if Path(word).name == "raftsup"), None)
    words = [word for word in argv[after + 1 :] if word not in _HOW] if after is not None else []
    return (words, folder) if "up" in words and "--dev" not in words else None


def restart(state: StateDir, service: Installed, timeout: float, say: Say) -> None:
    """Restart the host as its service. Raises ``control.Refused``, ``StillRuns``.

    One request of the manager's, not a stop and a start: whoever asks may itself run within
    the service, as an agent does, and end with it.
    """
    pid = lockfile.holder(state.lock)
    unit = control.look(service)
    if pid and unit.pid is not None and unit.pid != pid:
        say(f"pid {pid} was not started by {service.manager}: stopping it first")
        stop(state, timeout, say)
    try:
        control.ask(service, Verb.RESTART)
    except control.Refused:
        if service.manager is Manager.SYSTEMD:
            raise
        control.ask(service, Verb.START)  # launchd restarts only what it has loaded
    if pid:
        _until_gone(state, pid, timeout, say)


@dataclass(frozen=True)
class Settled:
    """How the accounts of a host are, in words; whether all that are enabled are ready."""

    lines: tuple[str, ...]
    ready: bool


def settled(state: StateDir, say: Say, appear: float = _APPEAR_S) -> Settled | None:
    """Wait until no account of the host that was just started is on its way up; None if the host
    has ended, or never came.
    """
    begun = told = time.monotonic()
    seen = False
    while True:
        now = time.monotonic()
        if lockfile.holder(state.lock) is None:
            if seen or now - begun > appear:
                return None
            time.sleep(_POLL_S)
            continue
        seen = True
        if (whole := _status(state)) is None:
            continue
        wanted, ready = status.readiness(whole)
        coming = [a["account"] for a in wanted if a["state"] in _COMING]
        up = not coming and whole["dispatcher"]["state"] == "running"
        if up or now - begun > _SETTLE_S:
            break
        if now - told > _PROGRESS_EVERY_S:
            told = now
            say(_progress(wanted, ready, coming, now - begun))
        time.sleep(2 * _POLL_S)
    others = (f"  {a['account']}: {a['reason']}" for a in wanted if a not in ready)
    lines = (f"{share(len(ready), len(wanted), 'account')} ready", *others)
    return Settled(lines, len(ready) == len(wanted))


def _progress(
    wanted: list[AccountStatus], ready: list[AccountStatus], coming: list[str], waited: float
) -> str:
    words = f"{share(len(ready), len(wanted), 'account')} ready after {waited:.0f} s"
    if coming:
        words += f", not yet {', '.join(coming)}"
    if any(a["state"] == AccountState.CONNECTING for a in wanted):
        words += " (Raft has not answered yet)"
    return words


def _status(state: StateDir) -> Status | None:
    try:
        return status.collect(status.accounts_of(state, _no_file), state)
    except ConfigError:
        return None  # it ended between two looks


def _no_file() -> Config:
    # The host has said whom it runs: its file may be another than this shell's.
    raise ConfigError([])


def _nothing(text: str) -> None:
    """Where nobody needs to know."""
