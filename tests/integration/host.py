"""A host and its simulated Raft on folders of their own, for tests. Always taken down whole.

::

    with running(["support", "sales"]) as host:
        host.up()
        host.ready()
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: host.raft.workspace.replies())
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from raftsup.config.load import load
from raftsup.ops import status
from raftsup.paths import StateDir
from raftsup.proc import lockfile
from raftsup.sim import timers
from raftsup.sim.server import RunningWorkspace, running_workspace

T = TypeVar("T")

RAFTSUP = [sys.executable, "-m", "raftsup"]
RAFT = [sys.executable, "-m", "raftsup.sim.raft_cli"]
AGENT: dict[str, Any] = {
    "kind": "command",
    "command": [sys.executable, "-m", "raftsup.sim.agent"],
    "env": {"RAFT_SIM_CLI": shlex.join(RAFT)},
}
#: The simulator's timers: what the true CLI does in seconds it does in tenths.
QUICK = dict(timers.SHORT)
#: Stands in the operator's environment and must be found nowhere else.
OPERATORS_SECRET = "operators-own-secret"


def wait_for(look: Callable[[], T | None], seconds: float = 20.0, what: str = "the awaited") -> T:
    """The first true value of ``look``; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s"
        time.sleep(0.02)
    return found


@dataclass
class Host:
    """One state folder, one config file and the simulated Raft behind them."""

    root: Path
    raft: RunningWorkspace
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    seen: set[psutil.Process] = field(default_factory=set)

    @property
    def state(self) -> StateDir:
        return StateDir(self.root / "s")

    @property
    def config_path(self) -> Path:
        return self.root / "raftsup.json5"

    @property
    def profiles(self) -> Path:
        return self.root / "profiles"

    def configure(self, accounts: dict[str, dict[str, Any]], **sections: dict[str, Any]) -> None:
        """Write the config file. An account is given by what it has beyond profile and agentId."""
        tree: dict[str, Any] = {
            "channels": {
                "raft": {
                    "command": RAFT,
                    "accounts": {
                        name: {"profile": name, "agentId": f"agent-{name}", **more}
                        for name, more in accounts.items()
                    },
                }
            },
            **sections,
        }
        tree["turns"] = {"agent": AGENT, **sections.get("turns", {})}
        # A test applies an edit when it says so.
        tree["supervisor"] = {"reload": "off", **sections.get("supervisor", {})}
        self.config_path.write_text(json.dumps(tree, indent=2))

    def environ(self) -> dict[str, str]:
        """The operator's environment: nothing of raftsup's or Raft's but this host's."""
        ours = ("RAFT", "SLOCK_", "SUPERVISOR_")
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(ours)},
            **QUICK,
            "RAFT_HOME": str(self.root),
            "RAFTSUP_CONFIG_PATH": str(self.config_path),
            "RAFTSUP_STATE_DIR": str(self.state.root),
            "OPERATORS_SECRET": OPERATORS_SECRET,
        }

    def run(
        self, *words: str, argv: Sequence[str] = RAFTSUP, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a ``raftsup`` command to its end."""
        return subprocess.run(
            [*argv, *words], env={**self.environ(), **env}, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip

    def start(
        self, *words: str, argv: Sequence[str] = RAFTSUP, **env: str
    ) -> subprocess.Popen[str]:
        """Start a long-running command in a session of its own, output in ``<root>/<n>.log``."""
        with (self.root / f"{len(self.started)}.log").open("w") as log:
            process = subprocess.Popen(
                [*argv, *words], env={**self.environ(), **env}, text=True, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def up(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return self.start("up", *words, **env)

    def said(self) -> str:
        """What the commands of ``start`` printed, and every log of the state folder."""
        files = [*self.root.glob("*.log"), *self.state.logs.glob("*.log")]
        return "".join(f"== {f.name}\n{f.read_text(errors='replace')}" for f in files)

    def status(self) -> Any:
        accounts = status.accounts_of(self.state, lambda: load(self.config_path, self.environ()))
        return status.collect(accounts, self.state)

    def account(self, name: str) -> Any:
        return next(a for a in self.status()["accounts"] if a["account"] == name)

    def ready(self, *names: str) -> dict[str, dict[str, Any]]:
        """Wait until these accounts (none: all that are enabled) are ready; all accounts."""

        def look() -> dict[str, dict[str, Any]]:
            now = self.status()
            accounts = {a["account"]: a for a in now["accounts"]}
            chosen = [accounts[name]["state"] == "ready" for name in names]
            return accounts if (all(chosen) if names else status.all_ready(now)) else {}

        with self._told():
            accounts = wait_for(look, what="a ready host")
        self.watch()
        return accounts

    def answered(self, *texts: str) -> None:
        """Wait until the agents have answered each of these messages."""
        wanted = {f"echo: {text}" for text in texts}
        with self._told():
            wait_for(lambda: wanted <= {r.text for r in self.raft.workspace.replies()},
                     what=f"the answer to {texts}")  # fmt: skip

    def parent(self) -> int:
        """The pid of the host that runs here now."""
        return wait_for(lambda: lockfile.holder(self.state.lock), what="the host's lock")

    def watch(self) -> set[psutil.Process]:
        """Remember every process of this host that runs now, so that none is forgotten."""
        for pid in [*(p.pid for p in self.started), lockfile.holder(self.state.lock)]:
            with contextlib.suppress(psutil.Error):
                if pid:
                    process = psutil.Process(pid)
                    self.seen |= {process, *process.children(recursive=True)}
        return self.seen

    def left(self) -> list[str]:
        """What still runs of all that was ever seen, or has this host's Raft profiles."""
        alive = [p for p in {*self.seen, *_users_of(self.root)} if _runs(p)]
        return [_shown(process) for process in alive]

    def gone(self) -> None:
        """Wait until nothing of this host runs."""
        with self._told():
            wait_for(lambda: not self.left(), what="the end of every process")

    def down(self) -> None:
        """End whatever is left, the polite way first."""
        self.watch()
        holder = lockfile.holder(self.state.lock) if self.state.root.exists() else None
        first = [pid for pid in {holder, *(p.pid for p in self.started)} if pid]
        for number, patience in ((signal.SIGTERM, 12.0), (signal.SIGKILL, 5.0)):
            for pid in first:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                    os.kill(pid, number)
            for process in self.started:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
            if not self.left():
                return
        for process in {*self.seen, *_users_of(self.root)}:
            with contextlib.suppress(psutil.Error):
                process.kill()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            raise AssertionError(f"{error}\nleft: {self.left()}\n{self.said()}") from None


@contextlib.contextmanager
def running(agents: Sequence[str] = ("support", "sales")) -> Iterator[Host]:
    """A simulated Raft with these agents, and a host that is configured for them, not started."""
    # Short: the state folder holds Unix sockets.
    root = Path(tempfile.mkdtemp(prefix="rs-"))
    try:
        with running_workspace(agents, raft_home=root, keepalive=timers.SHORT_KEEPALIVE) as raft:
            host = Host(root, raft)
            host.configure({name: {} for name in agents})
            try:
                yield host
            finally:
                host.down()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _users_of(raft_home: Path) -> list[psutil.Process]:
    mine, found = os.getpid(), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != mine and process.environ().get("RAFT_HOME") == str(raft_home):
                found.append(process)
    return found


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _shown(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())}"
    return str(process.pid)
