"""Waiting for a condition, and telling the living from the dead."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until ``condition`` is true; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """Whether a process runs: it is there, and no corpse."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
