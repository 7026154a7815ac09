"""What a service manager must know of one instance, found out now, while a person is here."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from raftsup.config.agents import GATEWAY_TOKEN
from raftsup.config.model import Config, OpenClawAgent
from raftsup.config.placeholders import load_with_placeholders, unset_names
from raftsup.paths import default_config_path, default_state_dir, instance
from raftsup.supervisor.programs import dispatcher_stop

#: Seconds beyond the host's own longest stop before the manager kills what is left.
_MARGIN = 30
#: Where the operator's shell has its CLIs keep their things: an agent looks there too.
_PLACES = (
    "RAFT_PROFILE",
    "RAFT_HOME",
    "SLOCK_HOME",
    "RAFT_PROFILE_DIR",
    "SLOCK_PROFILE_DIR",
    "SLOCK_PROFILE",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
)
_OWN = frozenset({"RAFTSUP_NAME", "RAFTSUP_STATE_DIR", "RAFTSUP_CONFIG_PATH"})


class Scope(StrEnum):
    #: The service manager of one user, who may install there.
    USER = "user"
    #: The machine's own: needs root to install, runs from boot, without a login.
    SYSTEM = "system"


@dataclass(frozen=True)
class Described:
    """One instance as its service runs it. Paths are absolute."""

    #: ``raftsup`` or ``raftsup-<name>``: the unit's name.
    unit: str
    scope: Scope
    #: Whom a system service runs as.
    user: str
    #: This raftsup, without arguments.
    command: tuple[str, ...]
    config: Path
    state: Path
    #: Beside PATH and the two places above.
    environment: Mapping[str, str]
    path: str
    #: Seconds that a stop may take.
    stop: int

    @property
    def secrets(self) -> Path:
        """``NAME=value`` lines for what the config takes as ``${NAME}``; mode 0600."""
        return self.config.with_name("raftsup.env")

    def variables(self) -> dict[str, str]:
        """The service's environment but its secrets, in the order of the unit."""
        return {
            "PATH": self.path,
            "RAFTSUP_CONFIG_PATH": str(self.config),
            "RAFTSUP_STATE_DIR": str(self.state),
            **self.environment,
        }


def describe(
    environ: Mapping[str, str],
    load: Callable[[Path, Mapping[str, str]], Config],
    scope: Scope,
    user: str,
    *,
    config: Path | None = None,
    state: Path | None = None,
) -> tuple[Described, list[str]]:
    """The instance that ``environ`` means, and what its operator should know.

    ``environ`` is of the user who will run it. ``load`` reads a config file within an
    environment. Raises ``ConfigError`` where the file is not good, whatever is set.
    """
    # What `up` would take if it were started here.
    file = (config or default_config_path(environ)).expanduser().absolute()
    path, notes = search_path(environ.get("PATH", os.defpath), environ)
    here = Described(
        unit=instance(environ),
        scope=scope,
        user=user,
        command=this_raftsup(),
        config=file,
        state=(state or default_state_dir(environ)).expanduser().absolute(),
        environment={k: environ[k] for k in _PLACES if environ.get(k)},
        path=path,
        stop=0,
    )
    there = {
        "HOME": environ.get("HOME", "/"),
        **here.variables(),
        **read_secrets(here.secrets),
    }
    found, problems = load_with_placeholders(lambda env: load(file, env), there)
    if missing := unset_names(problems):
        notes.append(
            f"the config names {', '.join(missing)}: write NAME='value' lines into {here.secrets},"
            " else the service does not start"
        )
    notes += [
        f"{name} is set in this shell and not in the service: write it into {here.secrets}"
        for name in environ
        if name not in there and _is_taken(name, found)
    ]
    programs = {a.command[0] for a in found.accounts if a.runs and a.command}
    notes += [
        f"{program} is not found on the service's PATH: install again from a shell that finds it"
        for program in sorted(programs)
        if shutil.which(program, path=path) is None
    ]
    return Described(**{**vars(here), "stop": dispatcher_stop(found) + _MARGIN}), notes


def _is_taken(name: str, config: Config) -> bool:
    """Whether a host with ``config`` looks at the variable though the file does not name it."""
    if name == GATEWAY_TOKEN:
        agents = (account.agent for account in config.accounts)
        return any(isinstance(a, OpenClawAgent) and not (a.token or a.password) for a in agents)
    return name.startswith("RAFTSUP_") and name not in _OWN


def instance_words(unit: str) -> list[str]:
    """What chooses the instance of a unit on the command line: ``--name staging``, or nothing."""
    name = instance_of(unit)
    return ["--name", name] if name else []


def instance_of(unit: str) -> str:
    """``staging`` of ``raftsup-staging``; "" of the usual one."""
    return unit.removeprefix("raftsup").removeprefix("-")


def this_raftsup() -> tuple[str, ...]:
    """The raftsup that runs, by a path that stays when it is upgraded."""
    # Not resolved: a virtual environment's python is a link, and without it another's.
    python = Path(sys.executable)
    script = python.with_name("raftsup")
    return (str(script),) if os.access(script, os.X_OK) else (str(python), "-P", "-m", "raftsup")


def search_path(path: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """``path`` as it can be written down, and why it is not the same."""
    runtime = environ.get("XDG_RUNTIME_DIR") or "/run"
    passing = [Path(folder).resolve() for folder in ("/run", runtime, tempfile.gettempdir())]
    kept, notes = [], []
    for text in dict.fromkeys(path.split(os.pathsep)):
        folder = Path(text)
        # Version managers (fnm) put links there that end with this login: take what they mean.
        real = folder.resolve()
        if not folder.is_absolute() or not folder.is_dir():
            continue
        if any(real.is_relative_to(place) for place in passing):
            notes.append(f"PATH: {text} is left out, it does not outlive this login")
        elif any(folder.is_relative_to(place) for place in passing):
            kept.append(str(real))
        else:
            kept.append(text)
    return os.pathsep.join(dict.fromkeys(kept)), notes


def read_secrets(path: Path) -> dict[str, str]:
    """The names that an environment file sets, with their values; {} if there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith(("#", ";")))
    return {name.strip(): value.strip().strip("'\"") for name, equals, value in pairs if equals}
