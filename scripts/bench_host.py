"""A true host for the bench: ``raftsup up`` on a config and with bridges of our own making."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_rows import BenchError

from raftsup import report
from raftsup.dispatcher import control_client as dispatcher
from raftsup.paths import StateDir

#: Seconds that anything awaited here may take.
PATIENCE = 30.0

#: Stands for the Raft CLI: says that it is connected, leaves its token for the bench (which is
#: the sender of wakes here), and is from then on a process that costs nothing.
_BRIDGE = """\
umask 077
printf %%s "$RAFT_CHANNEL_TOKEN" > "${0%%/*}/token.$2"
echo '{"type": "agent_comms.lifecycle", "state": "listening_idle"}'
%s
"""
_ENDINGS = {"steady": "exec sleep 3600", "dying": "sleep 1; exit 1"}


def command(*argv: str) -> dict[str, Any]:
    """An agent that is a command."""
    return {"kind": "command", "command": list(argv)}


@dataclass(frozen=True)
class Plan:
    """One account of a bench's host."""

    #: As the config has it.
    agent: Mapping[str, Any] = field(default_factory=lambda: command("true"))
    bridge: str = "steady"


@dataclass
class Host:
    folder: Path
    state: StateDir
    process: subprocess.Popen[bytes]
    #: Seconds (monotonic) at which the command was started.
    since: float

    def report(self, account: str) -> dict[str, Any]:
        return dict(report.read(self.state.report(account)) or {})

    def listening(self, account: str) -> bool:
        return bool(self.report(account).get("bridge", {}).get("state") == "listening")

    def endpoint(self, account: str) -> tuple[int, str]:
        """Its port and its token."""
        port = int(self.report(account)["url"].rsplit(":", 1)[1].split("/")[0])
        return port, (self.folder / f"token.{account}").read_text()

    def dispatcher(self) -> dict[str, Any]:
        """What the dispatcher tells of itself."""
        return dispatcher.request(self.state.dispatcher_socket, "status")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                log = (self.folder / "up.log").read_text(errors="replace")[-2000:]
                raise BenchError(f"{what} did not happen on the host in {self.folder}:\n{log}")
            time.sleep(0.002)

    def until_ready(self, accounts: Iterator[str] | list[str]) -> float:
        """Wait until all listen; the seconds since the start of the command."""
        missing = list(accounts)

        def all_listen() -> bool:
            while missing and self.listening(missing[-1]):
                missing.pop()
            return not missing

        self.until(all_listen, "every account's bridge listening")
        return time.monotonic() - self.since

    def until_available(self, accounts: Iterator[str] | list[str]) -> None:
        """Wait until all listen and each one's agent could take a turn."""

        def all_available() -> bool:
            try:
                return not self.dispatcher()["unavailable"]
            except dispatcher.DispatcherDown:
                return False  # not yet

        self.until_ready(accounts)
        self.until(all_available, "every agent's readiness for a turn")


class Turns:
    """The dispatcher's word on when turns begin and end, by the dispatcher's clock."""

    def __init__(self, dispatcher: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(dispatcher))
        self._socket.sendall(b'{"verb":"subscribe"}\n')
        self._lines = self._socket.makefile("rb")
        self._lines.readline()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def until_done(self, account: str) -> float:
        """Seconds from ``turn.started`` to ``turn.done`` of the account's next turn."""
        at: dict[str, float] = {}
        while "turn.done" not in at:
            try:
                event = json.loads(self._lines.readline() or "{}")
            except TimeoutError:
                raise BenchError(f"{account}: a turn was not done in time") from None
            if not event:
                raise BenchError("the dispatcher has hung up on the bench")
            if event["account"] != account or event["event"] == "turn.step":
                continue
            if event["event"] not in ("turn.started", "turn.done"):
                raise BenchError(f"{account}: {event['event']}: {event['reason']}")
            at[event["event"]] = event["at"]
        return at["turn.done"] - at["turn.started"]


@contextlib.contextmanager
def running(folder: Path, plans: Mapping[str, Plan], **environ: str) -> Iterator[Host]:
    """A host in the new folder ``folder``, with ``environ`` besides the caller's environment; it
    is stopped at the end, by force if need be.
    """
    folder.mkdir(mode=0o700, parents=True)
    for name, ending in _ENDINGS.items():
        (folder / f"{name}.sh").write_text(_BRIDGE % ending)
    accounts = {
        account: {
            "profile": account,
            "command": ["/bin/sh", str(folder / f"{plan.bridge}.sh")],
            "agent": dict(plan.agent),
        }
        for account, plan in plans.items()
    }
    config = folder / "raftsup.json5"
    tree = {"channels": {"raft": {"accounts": accounts}}, "turns": {"drain": 0, "timeout": "90s"}}
    config.write_text(json.dumps(tree))
    # Nothing of the caller's own raftsup may reach in.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RAFT_", "RAFTSUP_"))}
    state = StateDir(folder / "s")
    env |= {"RAFTSUP_STATE_DIR": str(state.root), "RAFTSUP_CONFIG_PATH": str(config), **environ}
    with (folder / "up.log").open("wb") as log:
        since = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "raftsup", "up"],
            env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield Host(folder, state, process, since)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # Whatever hangs, nothing survives the parent.
            process.kill()
            process.wait()
