"""Whether a process that is there can do anything."""

from __future__ import annotations

import psutil


def lives(pid: int | None) -> bool:
    """Whether the process can do anything: neither dead nor stopped by a signal."""
    still = (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
    try:
        return pid is not None and psutil.Process(pid).status() not in still
    except psutil.NoSuchProcess:
        return False


def stopped(pid: int | None) -> bool:
    """Whether the process is there and can do nothing until a signal lets it go on."""
    try:
        return bool(pid) and psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def by_signal(pid: int, name: str = "") -> str:
    """What to tell of a stopped process; ``name``: of a program, "the bridge"."""
    whose = f"{name} (pid {pid})" if name else f"pid {pid}"
    return f"{whose} is stopped by a signal; `kill -CONT {pid}` lets it go on"
