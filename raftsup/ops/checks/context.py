"""What the checks look at: found once, before any of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from raftsup.config.errors import ConfigError, Problem
from raftsup.config.model import Account, Config
from raftsup.config.placeholders import load_with_placeholders
from raftsup.ops import raft_place, status
from raftsup.ops.checks.processes import Process, belongs, snapshot
from raftsup.ops.service import detect, launchd, systemd
from raftsup.ops.service.detect import Installed, Manager
from raftsup.ops.service.spec import read_secrets
from raftsup.ops.status.document import Status
from raftsup.paths import StateDir, StateDirError, default_config_path
from raftsup.proc import lockfile
from raftsup.proc.env import clean_env

#: Reads the config within an environment.
Load = Callable[[Mapping[str, str]], Config]


@dataclass(frozen=True)
class Scene:
    state: StateDir
    #: Of the shell that asks.
    environ: Mapping[str, str]
    load: Load
    #: The config; None where its file cannot be used. Unset variables have a stand-in.
    config: Config | None
    problems: tuple[Problem, ...]
    #: What a child of the host has for an environment, and whose PATH is in it.
    env: Mapping[str, str]
    whose: str
    #: The host that runs here; None if none does.
    pid: int | None
    #: None where it cannot be found.
    status: Status | None
    service: Installed | None
    processes: Mapping[int, Process]
    now: float
    #: Seconds that one question may take; None: as each check has it.
    limit: float | None = None
    #: Also an agent that is to know this host, whose identity may have to be made for that.
    tries_all: bool = False

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts that run, as the file has them."""
        return tuple(a for a in self.config.accounts if a.runs) if self.config else ()

    @property
    def file(self) -> str:
        """Where the config is written."""
        path = self.config.path if self.config else None
        return str(path or default_config_path(self.environ))

    @property
    def ours(self) -> bool:
        """Whether the state folder is there and this user's: others keep their hands off."""
        try:
            return self.state.root.stat().st_uid == os.getuid()
        except OSError:
            return False

    @property
    def closed(self) -> bool:
        """Whether the state folder is there, and not to be looked into as its host would."""
        try:
            os.scandir(self.state.root).close()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return not self.ours

    @property
    def running(self) -> frozenset[int]:
        """The pids that head what runs for this state folder."""
        pids = {self.pid}
        if self.status:
            pids.add(self.status["dispatcher"]["pid"])
            pids |= {account["endpoint"]["pid"] for account in self.status["accounts"]}
        return frozenset(pid for pid in pids if pid)


def look_around(state: StateDir, environ: Mapping[str, str], load: Load) -> Scene:
    """The scene as it is now. Changes nothing."""
    pid, processes = lockfile.holder(state.lock), snapshot()
    home = Path(environ.get("HOME", "/"))
    service = next((s for s in detect.everything(home) if s.state == state.root), None)
    # What its service has, a host has that is started as it should be.
    had = service_secrets(service, environ) if service else {}
    config, problems = _read(load, raft_place.environment(state, {**had, **environ}))
    env, whose = _environment(environ, pid, service, processes)
    env = raft_place.environment(state, env)
    return Scene(
        state=state,
        environ=environ,
        load=load,
        config=config,
        problems=problems,
        env=env,
        whose=whose,
        pid=pid,
        status=_status(state, config),
        service=service,
        processes=processes,
        now=time.time(),
    )


def _read(load: Load, environ: Mapping[str, str]) -> tuple[Config | None, tuple[Problem, ...]]:
    try:
        # Whether the rest is good is another question, and what most checks need.
        return load_with_placeholders(load, environ)
    except ConfigError as error:
        return None, tuple(error.problems)


def _status(state: StateDir, config: Config | None) -> Status | None:
    def written() -> Config:
        if config is None:
            raise ConfigError([])
        return config

    try:
        return status.collect(status.accounts_of(state, written), state)
    except (ConfigError, StateDirError, OSError):
        return None


def _environment(
    environ: Mapping[str, str],
    pid: int | None,
    service: Installed | None,
    processes: Mapping[int, Process],
) -> tuple[Mapping[str, str], str]:
    """A forked process hides its own: what an exec'd bridge has was handed down to it."""
    if pid:
        for process in processes.values():
            bridge = "bridge" in process.argv and process.environ.get("PATH")
            if bridge and belongs(process.pid, frozenset({pid}), processes):
                return clean_env(process.environ), "the running host's"
    if service is not None:
        told = service_variables(service, environ)
        if told.get("PATH"):
            return clean_env({**environ, **told}), "the service's"
    return clean_env(environ), "this shell's"


#: What `raftsup install` may write into a service beside its secrets.
_WRITTEN = ("PATH", "RAFTSUP_CONFIG_PATH", "RAFTSUP_STATE_DIR", "RAFT_PROFILE",
            "RAFT_HOME", "SLOCK_HOME", "RAFT_PROFILE_DIR",
            "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")  # fmt: skip


def service_variables(service: Installed, environ: Mapping[str, str]) -> dict[str, str]:
    """What a service's file sets of the names above."""
    told = {}
    for name in _WRITTEN:
        if service.manager is Manager.LAUNCHD:
            value = launchd.variable(service.text, name)
        else:
            value = systemd.variable(service.text, name, environ.get("HOME", "/"))
        if value is not None:
            told[name] = value
    return told


def service_secrets(service: Installed, environ: Mapping[str, str]) -> dict[str, str]:
    """What its secrets file sets."""
    file = service_variables(service, environ).get("RAFTSUP_CONFIG_PATH")
    return read_secrets(Path(file).with_name("raftsup.env")) if file else {}
