"""The services of raftsup that are installed on this machine, and which is whose."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from raftsup.ops.service import launchd, systemd
from raftsup.ops.service.spec import Scope
from raftsup.paths import xdg


class Manager(StrEnum):
    SYSTEMD = "systemd"
    LAUNCHD = "launchd"


@dataclass(frozen=True)
class Place:
    """Where one service manager's file for ``unit`` is, or would be."""

    manager: Manager
    scope: Scope
    unit: str
    path: Path


@dataclass(frozen=True)
class Installed(Place):
    text: str
    #: The state folder that it names; None: none, or not to be read.
    state: Path | None

    @property
    def ours(self) -> bool:
        """Whether `raftsup install` wrote it."""
        return systemd.MARKER in self.text


def manager_here() -> Manager:
    return Manager.LAUNCHD if sys.platform == "darwin" else Manager.SYSTEMD


def place(manager: Manager, scope: Scope, unit: str, home: Path) -> Place:
    """``home``: of the user whose services are meant."""
    suffix = ".plist" if manager is Manager.LAUNCHD else ".service"
    return Place(manager, scope, unit, _folder(manager, scope, home) / f"{unit}{suffix}")


def system_units() -> Path:
    """Where an administrator's units of systemd are."""
    return Path("/etc/systemd/system")


def _folder(manager: Manager, scope: Scope, home: Path) -> Path:
    if manager is Manager.LAUNCHD:
        kind = "LaunchDaemons" if scope is Scope.SYSTEM else "LaunchAgents"
        return (Path("/") if scope is Scope.SYSTEM else home) / "Library" / kind
    if scope is Scope.SYSTEM:
        return system_units()
    environ = {**os.environ, "HOME": str(home)}
    return xdg(environ, "XDG_CONFIG_HOME", ".config") / "systemd" / "user"


def read(at: Place, home: Path) -> Installed | None:
    """The service at a place; None if there is none."""
    try:
        text = at.path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    if at.manager is Manager.LAUNCHD:
        state = launchd.variable(text, "RAFTSUP_STATE_DIR")
    else:
        state = systemd.variable(text, "RAFTSUP_STATE_DIR", str(home))
    return Installed(**vars(at), text=text, state=Path(state) if state else None)


def everything(home: Path | None = None) -> Iterator[Installed]:
    """Every service of raftsup: this user's, then the machine's."""
    home = home or Path.home()
    manager = manager_here()
    for scope in Scope:
        folder = _folder(manager, scope, home)
        for path in sorted(folder.glob("raftsup*")):
            if path.suffix in (".service", ".plist"):
                found = read(Place(manager, scope, path.stem, path), home)
                if found is not None:
                    yield found


def of(state: Path, home: Path | None = None) -> Installed | None:
    """The service that runs the state folder ``state``."""
    return next((s for s in everything(home) if s.state == state), None)
