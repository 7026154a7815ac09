"""What a worker says of itself: one private JSON file an account, replaced whole.

A file and not the ledger, because it must tell also when the ledger cannot take a write. ``report``
reads it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from raftsup import files, report
from raftsup.report import WorkerReport
from raftsup.worker.bridge.state import Life


@dataclass
class Report:
    path: Path
    account: str
    profile: str
    url: str = ""
    #: Where the CLI keeps the log of this account's bridge; "" where that cannot be told.
    bridge_log: str = ""
    rejected: int = 0
    #: Of the last worker of this account: its bridge's deaths in a row, and when it listened last.
    failures: int = 0
    listened_at: float = 0.0
    #: Its bridge's pid.
    bridge_pid: int | None = None
    #: Its bridge's, where the same host runs still.
    restarts: int = 0
    _life: Life = field(default_factory=Life)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _written: WorkerReport | None = None

    def adopt(self) -> None:
        """Go on counting where the last worker of this account stopped."""
        last = report.read(self.path)
        if last is not None:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                self.rejected = int(last["rejected"])
            with contextlib.suppress(KeyError, TypeError, ValueError):
                self.failures = int(last["bridge"]["failures"])
                self.listened_at = float(last["bridge"]["listenedAt"])
            with contextlib.suppress(KeyError, TypeError, ValueError):
                self.bridge_pid = int(last["bridge"]["pid"] or 0) or None
            with contextlib.suppress(KeyError, TypeError, ValueError):
                if last["host"] == os.getppid():
                    self.restarts = int(last["bridge"]["restarts"])

    def count(self, what: str) -> None:
        if what == "rejected":
            with self._lock:
                self.rejected += 1

    def bridge(self, life: Life) -> None:
        with self._lock:
            before, self._life = self._life, life
        # That it spoke again is written by and by.
        timeless = replace(life, heard_at=before.heard_at, listened_at=before.listened_at)
        if timeless != before:
            self.write()

    def state(self) -> str:
        """``ready``, or the bridge's state: an endpoint without a bridge is not healthy."""
        with self._lock:
            return "ready" if self._life.healthy else str(self._life.state)

    def write(self) -> None:
        """Replace the file if there is news. A full disk costs the news, not the worker."""
        with self._lock:
            facts = self._facts()
            if facts == self._written:
                return
            with contextlib.suppress(OSError):
                files.replace(self.path, orjson.dumps(facts))
                self._written = facts

    def _facts(self) -> WorkerReport:
        life = self._life
        return {
            "account": self.account,
            "profile": self.profile,
            "pid": os.getpid(),
            "host": os.getppid(),
            "url": self.url,
            "rejected": self.rejected,
            "bridge": {
                "state": str(life.state),
                "reason": life.reason,
                "pid": life.pid,
                "restarts": life.restarts,
                "lastExit": life.last_exit,
                "lastError": life.last_error,
                "log": self.bridge_log,
                "failures": life.failures,
                "since": life.since,
                "heardAt": life.heard_at,
                "listenedAt": life.listened_at,
            },
        }
