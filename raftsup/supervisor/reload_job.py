"""One application of a changed config: which programs leave and come, and how far that is.

A program that changes leaves and comes. Nobody else is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raftsup.supervisor import groups, programs
from raftsup.supervisor._compat import RUNNING_STATES, STOPPED_STATES, ProcessStates


@dataclass
class Job:
    number: int
    #: What was done so far, in order: ``{"program", "what", "paths"}``.
    done: list[dict[str, Any]] = field(default_factory=list)
    #: Processes that are to be gone, programs that are to be there, by name.
    leaving: dict[str, Any] = field(default_factory=dict)
    coming: dict[str, Any] = field(default_factory=dict)
    changed: Collection[str] = ()
    #: The processes of those of ``changed`` that an operator had stopped.
    resting: dict[str, Any] = field(default_factory=dict)
    #: Why it was not carried out, or not to its end.
    refused: str = ""
    broken_off: str = ""
    over: bool = False

    def say(self, program: str, what: str, paths: Sequence[str] = ()) -> None:
        self.done.append({"program": program, "what": what, "paths": list(paths)})


def go_on(job: Job, running: Mapping[str, Any], tell: Callable[[str], None]) -> None:
    """Do what can be done without waiting; at the end the job is over.

    ``running``: supervisor's running groups by name. ``tell`` gets a line for each program.
    """
    for name, process in list(job.leaving.items()):
        if _left(process):
            del job.leaving[name]
            if name not in job.coming:
                _done(job, name, "removed", tell)
    # A profile that goes from one account to another has one bridge at a time.
    taken = {_profile(process.config) for process in job.leaving.values()}
    for name, program in list(job.coming.items()):
        if name not in job.leaving and _profile(program) not in taken:
            del job.coming[name]
            _add(running[programs.ACCOUNTS], program, job.resting.get(name))
            what = "restarted" if name in job.changed else "added"
            _done(job, name, "rests" if name in job.resting else what, tell)
    job.over = not job.leaving and not job.coming


def rests(process: Any) -> bool:
    """Whether somebody has stopped it: then a change of its settings is no reason to start it."""
    return bool(process.state == ProcessStates.STOPPED and process.laststart)


def _left(process: Any) -> bool:
    """Whether the process is out of its group; steps towards it."""
    group, name = process.group, process.config.name
    if group.processes.get(name) is not process:
        return True  # somebody else removed it
    if process.state in RUNNING_STATES:
        process.stop()
    if process.state not in STOPPED_STATES:
        return False
    groups.leave(process)
    return True


def _add(group: Any, program: Any, rested: Any) -> None:
    if program.name not in group.processes:
        process = groups.join(group, program)
        if rested is not None:
            # supervisor's loop starts only what has never been started.
            process.laststart, process.laststop = rested.laststart, rested.laststop


def _done(job: Job, name: str, what: str, tell: Callable[[str], None]) -> None:
    job.say(name, what)
    tell(f"{name}: {what} by a change of the config")


def _profile(program: Any) -> str:
    profile: str = program.program.settings.profile
    return profile
