"""A status as ``ops.status.collect`` makes it, for tests of those who show it."""

from __future__ import annotations

from typing import Any

#: The time of the look, in Unix seconds.
NOW = 1_000_000.0


def account(name: str, state: str = "ready", reason: str = "") -> Any:
    return {
        "account": name,
        "profile": name,
        "agent": None,
        "state": state,
        "reason": reason,
        "endpoint": {"url": "http://127.0.0.1:4711/wake", "pid": 11, "restarts": 0},
        "bridge": {
            "state": "listening", "pid": 12, "restarts": 3, "lastExit": None, "lastError": None,
            "heardAt": NOW - 7, "heardAgo": 7.0,
        },
        "wakes": {"accepted": 40, "duplicates": 5, "rejected": 6, "lastAt": NOW - 125},
        "turns": {
            "queued": 7, "running": 1, "done": 39, "failed": 2, "unanswered": [],
            "last": {"turn": 17, "state": "running", "at": NOW - 12},
        },
    }  # fmt: skip


def status(*accounts: Any, source: str = "host") -> Any:
    return {
        "version": "0.1.0",
        "stateDir": "/tmp/x",
        "supervisor": {"state": "running", "pid": 10, "reason": ""},
        "dispatcher": {"state": "stopped", "pid": None, "reason": ""},
        "ledger": {"reason": ""},
        "source": source,
        "at": NOW,
        "accounts": list(accounts),
    }
