"""The processes of this machine, as one look saw them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psutil


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int = 0
    argv: tuple[str, ...] = ()
    #: Empty where it is not this user's to read.
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: By a signal.
    stopped: bool = False

    @property
    def kill(self) -> str:
        """The command that ends it. What is stopped hears of that once it goes on."""
        return f"kill {self.pid}" + f" && kill -CONT {self.pid}" * self.stopped


def snapshot() -> dict[int, Process]:
    """All that run now, by pid; dead ones that nobody has collected are left out."""
    found = {}
    wanted = ["pid", "ppid", "cmdline", "environ", "status"]
    for process in psutil.process_iter(wanted, ad_value=None):
        info = process.info
        if info["status"] != psutil.STATUS_ZOMBIE:
            argv, environ = tuple(info["cmdline"] or ()), info["environ"] or {}
            stopped = info["status"] == psutil.STATUS_STOPPED
            found[process.pid] = Process(process.pid, info["ppid"] or 0, argv, environ, stopped)
    return found


def above(pid: int, processes: Mapping[int, Process]) -> Iterator[Process]:
    """A process and those that it descends from, nearest first."""
    met = set()
    while (process := processes.get(pid)) is not None and pid not in met:
        met.add(pid)
        yield process
        pid = process.parent


def belongs(pid: int, to: frozenset[int], processes: Mapping[int, Process]) -> bool:
    """Whether a process is, or descends from, one of ``to``."""
    return any(process.pid in to for process in above(pid, processes))
