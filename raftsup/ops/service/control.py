"""Asking the service manager: its own commands, one table for each manager."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from enum import StrEnum

from raftsup.errors import RaftsupError
from raftsup.ops.service.detect import Manager, Place
from raftsup.ops.service.spec import Scope

#: Seconds for a command that waits for the host: as long as a unit may take to start and stop.
_TIMEOUT_S = 600.0


class Refused(RaftsupError):
    """The manager cannot be reached, or says no; the message is its own, and what was asked."""


class Verb(StrEnum):
    START = "start"
    #: Asks, does not wait.
    STOP = "stop"
    RESTART = "restart"
    #: From now on at each boot or login. The file has just been written.
    ENABLE = "enable"
    #: Never again by itself, and stop it. The file is still there.
    DISABLE = "disable"
    #: The file is gone.
    FORGET = "forget"


_SYSTEMD = {
    Verb.START: (("start", "{unit}"),),
    Verb.STOP: (("stop", "--no-block", "{unit}"),),
    Verb.RESTART: (("restart", "{unit}"),),
    Verb.ENABLE: (("daemon-reload",), ("enable", "{unit}")),
    Verb.DISABLE: (("disable", "--now", "{unit}"),),
    Verb.FORGET: (("daemon-reload",),),
}
_LAUNCHD: dict[Verb, tuple[tuple[str, ...], ...]] = {
    Verb.START: (("bootstrap", "{domain}", "{path}"),),
    # launchd starts again what merely ends: it is told to let go of it.
    Verb.STOP: (("bootout", "{domain}/{unit}"),),
    Verb.RESTART: (("kickstart", "-k", "{domain}/{unit}"),),
    Verb.ENABLE: (("enable", "{domain}/{unit}"),),
    Verb.DISABLE: (("disable", "{domain}/{unit}"),),
    Verb.FORGET: (),
}


def commands(service: Place, verb: Verb, uid: int) -> list[list[str]]:
    """What carries out ``verb``, as a person could type it."""
    system = service.scope is Scope.SYSTEM
    if service.manager is Manager.SYSTEMD:
        program = ["systemctl"] if system else ["systemctl", "--user"]
        table, unit = _SYSTEMD, f"{service.unit}.service"
    else:
        program, table, unit = ["launchctl"], _LAUNCHD, service.unit
    known = {"unit": unit, "path": service.path, "domain": "system" if system else f"gui/{uid}"}
    return [[*program, *(word.format(**known) for word in words)] for words in table[verb]]


def ask(service: Place, verb: Verb) -> None:
    """Have the manager do it. Raises ``Refused``."""
    for words in commands(service, verb, os.getuid()):
        _run(words)


@dataclass(frozen=True)
class Unit:
    """What the manager says of a service."""

    #: Its main process; 0: none. None: the manager tells nothing of it.
    pid: int | None
    #: It is on its way down already.
    stopping: bool


def look(service: Place) -> Unit:
    """Raises ``Refused``."""
    if service.manager is Manager.LAUNCHD:
        return Unit(None, False)
    (words,) = commands(service, Verb.START, os.getuid())
    shown = _run([*words[:-2], "show", "--property=MainPID,ActiveState", words[-1]])
    facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    pid = facts.get("MainPID", "0")
    return Unit(int(pid) if pid.isdigit() else 0, facts.get("ActiveState") == "deactivating")


def _run(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"`{shlex.join(words)}`: {error}") from None
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise Refused(f"`{shlex.join(words)}`: {said}")
    return done.stdout
