"""A real dispatcher process on a state folder of its own, for tests that kill and ask it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raftsup.config.model import Dedupe
from raftsup.dispatcher.control_client import Doorbell
from raftsup.ledger import Ledger, open_ledger
from raftsup.paths import StateDir
from raftsup.wake import Wake
from tests.processes import until


@dataclass
class House:
    """A state folder with its config file; dispatchers are started on it, one after another."""

    folder: Path
    agent: Sequence[str]
    turns: dict[str, Any] = field(default_factory=dict)
    #: Short: sockets live in it.
    state: StateDir = field(init=False)
    ledger: Ledger = field(init=False)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = StateDir(self.folder / "s")
        self.state.prepare()
        self.configure("a", "b")
        self.ledger = open_ledger(self.state.ledger)

    def configure(self, *accounts: str, **turns: Any) -> None:
        agent = {"kind": "command", "command": list(self.agent)}
        raft = {"accounts": {name: {"profile": f"{name}-profile"} for name in accounts}}
        tree = {"channels": {"raft": raft}, "turns": {"agent": agent, **self.turns, **turns}}
        self.config_file.write_text(json.dumps(tree))

    @property
    def config_file(self) -> Path:
        return self.folder / "raftsup.json5"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> subprocess.Popen[bytes]:
        environ = {
            **os.environ,
            "RAFTSUP_STATE_DIR": str(self.state.root),
            "RAFTSUP_CONFIG_PATH": str(self.config_file),
        }
        with (self.folder / "log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "raftsup", "dispatcher"], env=environ, stderr=log
            )
        self.children.append(child)
        return child

    def ready(self) -> subprocess.Popen[bytes]:
        child = self.start()
        until(lambda: f"action=dispatcher.ready pid={child.pid}" in self.log)
        return child

    def owe(self, account: str, identity: str) -> int:
        accepted = self.ledger.accept(
            account, Wake(identity, None), now=time.time(), limits=Dedupe(), coalesce=False
        )
        Doorbell(self.state.dispatcher_socket).ring()
        return accepted.turn

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(str(self.state.dispatcher_socket))
        return connection

    def close(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()
        assert self.ledger.verify() == []
        self.ledger.close()
