"""Installing an instance's service, and removing it: nothing that is not ours is touched."""

from __future__ import annotations

import difflib
import os
import pwd
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raftsup import files
from raftsup.errors import RaftsupError
from raftsup.ops.service import control, detect, launchd, systemd
from raftsup.ops.service.control import Verb
from raftsup.ops.service.detect import Installed, Manager, Place
from raftsup.ops.service.spec import Described, Scope, instance_words
from raftsup.paths import StateDir, default_state_dir

_SECRETS = """\
# Read by the service {unit}: what its config takes as ${{NAME}}. One a line:
#NAME='value'
"""


class NotInstalled(RaftsupError):
    """Nothing was changed; the message says why and what to do."""


@dataclass(frozen=True)
class Plan:
    """What an installation writes, and where."""

    place: Place
    text: str
    #: What is there now; None: nothing.
    old: str | None

    @property
    def diff(self) -> str:
        """From what is there to what would be."""
        lines = difflib.unified_diff(
            (self.old or "").splitlines(keepends=True),
            self.text.splitlines(keepends=True),
            f"{self.place.path} (installed)",
            f"{self.place.path} (new)",
        )
        return "".join(lines)


def generated(service: Described, manager: Manager) -> str:
    """The file that ``manager`` reads. Raises ``ValueError`` for a path that it cannot hold."""
    return launchd.text(service) if manager is Manager.LAUNCHD else systemd.text(service)


def plan(service: Described, home: Path) -> Plan:
    """What `raftsup install` would do. Raises ``NotInstalled``."""
    manager = detect.manager_here()
    place = detect.place(manager, service.scope, service.unit, home)
    try:
        text = generated(service, manager)
    except ValueError as error:
        raise NotInstalled(str(error)) from None
    old = detect.read(place, home)
    other = detect.of(service.state, home)
    if other is not None and other.path != place.path:
        raise NotInstalled(
            f"{other.path} runs {service.state} already, as a {other.scope} service: remove it"
            f" with `raftsup uninstall` before, or choose another instance with --name"
        )
    return Plan(place, text, old.text if old else None)


def carry_out(plan: Plan, service: Described, *, force: bool) -> Iterator[str]:
    """Write the files and tell the manager; a line for each thing done.

    Raises ``NotInstalled`` before anything was changed, ``control.Refused`` where all was
    written and the manager would not take it.
    """
    if plan.old not in (None, plan.text) and not force:
        raise NotInstalled(f"{plan.place.path} is there and differs: --force writes over it")
    owner = pwd.getpwnam(service.user)
    try:
        if plan.old != plan.text:
            _write(plan.place.path, plan.text, 0o644)
            yield f"{plan.place.path}: written"
        else:
            yield f"{plan.place.path}: as it should be"
        if not service.secrets.exists():
            _write(service.secrets, _SECRETS.format(unit=service.unit), 0o600, owner)
            yield f"{service.secrets}: written, for the variables that the config names"
    except PermissionError as error:
        system = service.scope is Scope.SYSTEM
        do = "say it with sudo, or without --system" if system else "make it writable for this user"
        raise NotInstalled(f"{error.filename} cannot be written by this user: {do}") from None
    if plan.place.manager is Manager.LAUNCHD and service.scope is Scope.USER:
        StateDir(service.state).prepare()  # launchd opens its log there, and makes no folder
    control.ask(plan.place, Verb.ENABLE)
    at = "boot" if service.scope is Scope.SYSTEM else "login"
    yield f"{plan.place.unit}: starts at each {at}"


def remove(service: Installed, stop: Callable[[], object], *, force: bool) -> Iterator[str]:
    """Stop and remove a service; ``stop`` ends the host that it runs. Lines as above.

    Config, secrets and state stay. Raises ``NotInstalled`` before anything was changed,
    ``control.Refused`` where the file is gone and the manager was not told.
    """
    if not service.ours and not force:
        raise NotInstalled(
            f"{service.path} was not written by `raftsup install`: --force removes it all the same"
        )
    if not os.access(service.path.parent, os.W_OK):
        raise NotInstalled(f"{service.path} cannot be removed by this user: say it with sudo")
    refused: control.Refused | None = None
    stop()
    try:
        control.ask(service, Verb.DISABLE)
    except control.Refused as error:
        refused = error
        # What `disable` would have removed, while the links still lead to a file.
        for link in list(service.path.parent.glob(f"*.wants/{service.path.name}")):
            link.unlink()
    service.path.unlink()
    yield f"{service.path}: removed"
    if refused is not None:
        raise refused
    control.ask(service, Verb.FORGET)


def _write(path: Path, text: str, mode: int, owner: pwd.struct_passwd | None = None) -> None:
    """Replace a file whole. ``owner``: of it and of the folders made for it, if we may choose."""
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if mode == 0o600 else 0o755)
    whose = (owner.pw_uid, owner.pw_gid) if owner is not None and os.getuid() == 0 else None
    files.replace(path, text.encode(), mode=mode, owner=whose)
    if whose is not None:
        for folder in made:
            os.chown(folder, *whose, follow_symlinks=False)


def typed(place: Place, *verbs: Verb) -> str:
    """What a person types for ``verbs`` where we could not do it."""
    sudo = "sudo " if place.scope is Scope.SYSTEM and os.getuid() else ""
    commands = (c for verb in verbs for c in control.commands(place, verb, os.getuid()))
    return "\n".join(f"  {sudo}{shlex.join(command)}" for command in commands)


def next_word(service: Described, place: Place) -> str:
    """The command that starts what was installed."""
    if service.scope is Scope.SYSTEM and pwd.getpwnam(service.user).pw_uid != os.getuid():
        # `raftsup start` would be about root's own instance.
        (words,) = control.commands(place, Verb.START, os.getuid())
        return shlex.join(["sudo", *words] if os.environ.get("SUDO_USER") else words)
    chosen = instance_words(service.unit)
    elsewhere = service.state != default_state_dir(os.environ)
    words = ["raftsup", *chosen, "start", *(["--state-dir", str(service.state)] * elsewhere)]
    return shlex.join(words)


def ends_with_login(service: Described) -> bool:
    """Whether systemd ends it at the logout of its user (no lingering)."""
    systemd_here = Path("/run/systemd/system").is_dir()
    linger = Path("/var/lib/systemd/linger") / service.user
    return service.scope is Scope.USER and systemd_here and not linger.exists()
