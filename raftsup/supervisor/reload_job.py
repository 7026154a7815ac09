"""One application of a changed config: which programs leave and come, and how far that is.

A program that changes leaves and comes. Nobody else is touched. The life of a job is the table
``TRANSITIONS``; a move that it does not have raises ``KeyError`` and changes nothing.

::

    queued --BEGIN--> running --FINISH--> done
      |                  |--BREAK_OFF--> broken_off   (the host stops, or an error of raftsup's own)
      |--BREAK_OFF--> broken_off
      |--REFUSE--> refused                            (the file cannot be used)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypedDict

from raftsup.supervisor import groups, programs
from raftsup.supervisor._compat import RUNNING_STATES, STOPPED_STATES, Group, ProcessStates


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    BROKEN_OFF = "broken_off"


class Event(StrEnum):
    BEGIN = "begin"
    REFUSE = "refuse"
    FINISH = "finish"
    BREAK_OFF = "break_off"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.QUEUED, Event.BEGIN): State.RUNNING,
    (State.QUEUED, Event.REFUSE): State.REFUSED,
    (State.QUEUED, Event.BREAK_OFF): State.BROKEN_OFF,
    (State.RUNNING, Event.FINISH): State.DONE,
    (State.RUNNING, Event.BREAK_OFF): State.BROKEN_OFF,
}


class What(StrEnum):
    """What was done to a program, or to the host."""

    ADDED = "added"
    REMOVED = "removed"
    RESTARTED = "restarted"
    #: It has its new settings, and stays stopped as an operator left it.
    RESTS = "rests"
    #: It goes on, and uses the settings ``paths`` from now on.
    LIVE = "live"
    #: The settings ``paths`` wait for a restart of the whole host.
    HOST = "host"
    #: The whole host restarts for the settings ``paths``.
    RESTARTING = "restarting"


class Done(TypedDict):
    """One thing that was done; ``program`` is "" where it is the whole host's."""

    program: str
    what: str
    #: The settings that it is about, as paths in the file; often none.
    paths: list[str]


class Progress(TypedDict):
    """How far a job is: the answer to ``applyProgress``. ``done`` grows until it is ``over``."""

    done: list[Done]
    over: bool
    #: Why it was not carried out, or not to its end; "" if it was.
    refused: str
    brokenOff: str


@dataclass
class Job:
    number: int
    state: State = State.QUEUED
    #: Why it was refused or broken off.
    reason: str = ""
    done: list[Done] = field(default_factory=list)
    #: Processes that are to be gone, programs that are to be there, by name.
    leaving: dict[str, Any] = field(default_factory=dict)
    coming: dict[str, Any] = field(default_factory=dict)
    changed: Collection[str] = ()
    #: The processes of those of ``changed`` that an operator had stopped.
    resting: dict[str, Any] = field(default_factory=dict)

    def move(self, event: Event, reason: str = "") -> None:
        self.state, self.reason = TRANSITIONS[self.state, event], reason

    @property
    def over(self) -> bool:
        return self.state not in (State.QUEUED, State.RUNNING)

    def say(self, program: str, what: What, paths: Sequence[str] = ()) -> None:
        self.done.append({"program": program, "what": str(what), "paths": list(paths)})

    def progress(self) -> Progress:
        return {
            "done": self.done,
            "over": self.over,
            "refused": self.reason if self.state is State.REFUSED else "",
            "brokenOff": self.reason if self.state is State.BROKEN_OFF else "",
        }


def go_on(job: Job, running: Mapping[str, Group], tell: Callable[[str], None]) -> None:
    """Do what can be done for a running job without waiting; at the end it is done.

    ``running``: supervisor's running groups by name. ``tell`` gets a line for each program.
    """
    for name, process in list(job.leaving.items()):
        if _left(process):
            del job.leaving[name]
            if name not in job.coming:
                _done(job, name, What.REMOVED, tell)
    # A profile that goes from one account to another has one bridge at a time.
    taken = {_profile(process.config) for process in job.leaving.values()}
    for name, program in list(job.coming.items()):
        if name not in job.leaving and _profile(program) not in taken:
            del job.coming[name]
            _add(running[programs.ACCOUNTS], program, job.resting.get(name))
            what = What.RESTARTED if name in job.changed else What.ADDED
            _done(job, name, What.RESTS if name in job.resting else what, tell)
    if not job.leaving and not job.coming:
        job.move(Event.FINISH)


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


def _add(group: Group, program: Any, rested: Any) -> None:
    if program.name not in group.processes:
        process = groups.join(group, program)
        if rested is not None:
            # supervisor's loop starts only what has never been started.
            process.laststart, process.laststop = rested.laststart, rested.laststop


def _done(job: Job, name: str, what: What, tell: Callable[[str], None]) -> None:
    job.say(name, what)
    tell(f"{name}: {what} by a change of the config")


def _profile(program: Any) -> str:
    profile: str = program.program.settings.profile
    return profile
