"""Applying a changed config to the running host: in the parent's loop, one change after another.

Whoever wants it, the file or an operator, gets a job. As there is one loop and one job at a time,
two reloads cannot collide.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from raftsup.config.errors import ConfigError, Problem
from raftsup.config.model import Config
from raftsup.dispatcher import config_pipe
from raftsup.dispatcher import main as dispatcher
from raftsup.paths import default_config_path
from raftsup.supervisor import config_diff, file_watch, groups, programs
from raftsup.supervisor._compat import SupervisorStates
from raftsup.supervisor.config_diff import Change, Takes, command_for
from raftsup.supervisor.reload_job import Event, Job, Progress, What, go_on, rests

#: Jobs of which one can still ask.
_REMEMBERED = 8


class ProblemDocument(TypedDict):
    """One thing that is wrong with the file: ``config.load.Problem``."""

    where: str
    what: str
    hint: str


class ChangeDocument(TypedDict):
    """One setting that differs, as a path in the file; ``takes`` as in ``config_diff.Takes``."""

    path: str
    takes: str


class ConfigState(TypedDict):
    """How the config in force stands to its file: the answer to ``configState``."""

    #: The file, and what is applied by itself when it changes (``supervisor.reload``).
    path: str
    mode: str
    #: ``applied``, ``differs``, ``refused``, or ``changed``: it was saved or removed since it was
    #: read, and the rest is about what it said then (``file_watch``).
    state: str
    #: Why it is refused.
    problems: list[ProblemDocument]
    #: What differs and somebody who runs would notice.
    changes: list[ChangeDocument]
    #: The command to type next; "" for none, also while a change is being applied.
    next: str


class RefusedPlan(TypedDict):
    """The answer to ``configPlan`` where the file cannot be used."""

    problems: list[ProblemDocument]


class Plan(RefusedPlan):
    """What a reload would do now: the answer to ``configPlan``. Programs are named as supervisorctl
    names them.
    """

    mode: str
    changes: list[ChangeDocument]
    added: list[str]
    restarted: list[str]
    #: Would have new settings, and stay stopped as an operator left them.
    resting: list[str]
    removed: list[str]
    #: The whole host would drain and restart; then nothing is done one by one.
    host: bool


class Reloads:
    """``tick`` does the work; the rest are questions and requests of the RPC interface."""

    def __init__(self, parent: Any, now: Callable[[], float] = time.monotonic) -> None:
        self._parent, self._options, self._now = parent, parent.options, now
        config: Config = self._options.raftsup
        self._path = config.path or default_config_path(self._options.environ)
        # It is read a second time, at once: it may have been saved since the first, or be broken
        # already (``handover``). A host that began without a file waits for one.
        self._read = seen = file_watch.look(self._path)
        waits = seen is None and config.path is None
        self._watched = file_watch.Watched(seen, self._now() - file_watch.BROKEN_S, done=waits)
        #: What the file said when it was good last.
        self.file = config
        self._problems: Sequence[Problem] = ()
        self._asked: deque[Job] = deque()
        self._job: Job | None = None
        self._jobs: dict[int, Job] = {}

    # -- questions and requests

    def ask(self) -> int:
        """Have the file applied; the job's number for ``progress``."""
        job = self._new_job()
        self._asked.append(job)
        return job.number

    def busy(self) -> bool:
        return self._job is not None or bool(self._asked)

    def progress(self, number: int) -> Progress | None:
        job = self._jobs.get(number)
        return job.progress() if job else None

    def state(self) -> ConfigState:
        """How the config in force stands to the file."""
        found = config_diff.open_changes(config_diff.changes(self._options.raftsup, self.file))
        busy = self.busy() or self._options.mood == SupervisorStates.RESTARTING
        if not busy and file_watch.look(self._path) != self._read:
            word, command = "changed", ""
        elif self._problems:
            word, command = "refused", "raftsup config check"
        else:
            word = "differs" if found or busy else "applied"
            # While a change is being applied there is nothing to type.
            command = "" if busy else command_for(found)
        return {
            "path": str(self._path),
            "mode": self._mode(),
            "state": word,
            "problems": _problems(self._problems),
            "changes": _changes(found),
            "next": command,
        }

    def plan(self) -> Plan | RefusedPlan:
        """What ``ask`` would do now. Changes nothing."""
        try:
            wanted = self._options.load()
        except ConfigError as error:
            return {"problems": _problems(error.problems)}
        running, allowed = self._options.raftsup, self._by_hand()
        found = config_diff.open_changes(config_diff.changes(running, wanted))
        whole = Takes.HOST in allowed and any(c.takes is Takes.HOST for c in found)
        after = running if whole else config_diff.merged(running, wanted, allowed)
        added, changed, removed = self._difference(self._options.groups_of(after))
        resting = [name for name in changed if rests(self._process(name))]
        return {
            "problems": [],
            "mode": self._mode(),
            "changes": _changes(found),
            "added": added,
            "restarted": [name for name in changed if name not in resting],
            "resting": resting,
            "removed": removed,
            "host": whole,
        }

    def noted(self, file: Config) -> None:
        """The file was read and is good."""
        if self._problems:
            self._options.logger.info(f"{self._path} is fixed")
        self.file, self._problems = file, ()
        self._read = file_watch.look(self._path)

    def tell_dispatcher(self) -> None:
        """Send the config in force to a dispatcher that runs; a new one has it anyway."""
        process = self._parent.process_groups[dispatcher.PROGRAM].processes[dispatcher.PROGRAM]
        process.config.stopwaitsecs = programs.dispatcher_stop(self._options.raftsup)
        # What the pipe does not take at once, supervisor's loop sends on.
        with contextlib.suppress(OSError):
            process.write(config_pipe.written(self._options.raftsup))

    # -- the work

    def tick(self) -> None:
        """Do what can be done without waiting. Raises nothing: the host must outlive it."""
        try:
            self._tick()
        except Exception:
            self._options.logger.critical(f"a reload broke: {traceback.format_exc()}")
            self._watched = file_watch.finished(self._watched)
            self._break_off("an error of raftsup's own: see logs/supervisord.log")

    def _tick(self) -> None:
        if self._options.mood < SupervisorStates.RUNNING:
            self._break_off(self._parent.ending())
            return
        if self._job is None and self._asked:
            self._job = self._asked.popleft()
            self._begin_asked(self._job)
        elif self._job is None:
            self._watch()
        if self._job is not None and not self._job.over:
            go_on(self._job, self._parent.process_groups, self._options.logger.info)
        if self._job is not None and self._job.over:
            self._job = None

    def _watch(self) -> None:
        do, self._watched = file_watch.step(self._watched, file_watch.look(self._path), self._now())
        if do is file_watch.Do.WAIT:
            return
        try:
            wanted = self._options.load()
        except ConfigError as error:
            if do is file_watch.Do.READ:
                self._refuse(error)
            return
        if file_watch.look(self._path) != self._watched.seen:
            return  # saved again while it was read
        self._watched = file_watch.finished(self._watched)
        self.noted(wanted)
        running, allowed = self._options.raftsup, config_diff.MODES[self._mode()]
        left = config_diff.changes(config_diff.merged(running, wanted, allowed), wanted)
        found = config_diff.changes(running, wanted)
        for change in config_diff.open_changes(found):
            will = "left as it is" if change in left else "applied"
            self._options.logger.info(f"{self._path}: {change.path} changed: {will}")
        if any(change not in left for change in found):
            self._begin(self._new_job(), allowed)

    def _begin_asked(self, job: Job) -> None:
        seen = file_watch.look(self._path)
        try:
            self.noted(self._options.load())
        except ConfigError as error:
            self._refuse(error)
            job.move(Event.REFUSE, str(error))
            return
        self._watched = file_watch.Watched(seen, self._now(), done=True)
        self._begin(job, self._by_hand())

    def _begin(self, job: Job, allowed: frozenset[Takes]) -> None:
        self._job = job
        job.move(Event.BEGIN)
        before = self._options.raftsup
        host = [c.path for c in config_diff.changes(before, self.file) if c.takes is Takes.HOST]
        if host and Takes.HOST in allowed:
            # The rest of the change comes with it: the next host reads the whole file.
            job.say("", What.RESTARTING, host)
            job.move(Event.FINISH)
            self._options.logger.warn(f"restarting the whole host: {', '.join(host)} changed")
            self._options.mood = SupervisorStates.RESTARTING
            return
        after = config_diff.merged(before, self.file, allowed)
        self._options.use(after)
        self.tell_dispatcher()
        if live := [c.path for c in config_diff.changes(before, after) if c.takes is Takes.LIVE]:
            job.say(dispatcher.PROGRAM, What.LIVE, live)
        added, changed, removed = self._difference(self._options.process_group_configs)
        job.changed = changed if Takes.RESTART in allowed else ()
        wanted = groups.programs_of(self._options.process_group_configs)
        job.coming = {name: wanted[name] for name in (*added, *job.changed)}
        job.leaving = {name: self._process(name) for name in (*removed, *job.changed)}
        job.resting = {name: job.leaving[name] for name in job.changed if rests(job.leaving[name])}
        if host:
            job.say("", What.HOST, host)

    def _break_off(self, why: str) -> None:
        for job in [*([self._job] if self._job else []), *self._asked]:
            if not job.over:
                job.move(Event.BREAK_OFF, why)
        self._job = None
        self._asked.clear()

    def _refuse(self, error: ConfigError) -> None:
        if list(self._problems) != error.problems:
            self._options.logger.error(f"the config is refused, what runs stays as it is: {error}")
        self._problems = tuple(error.problems)
        self._read = file_watch.look(self._path)

    # -- what it is made of

    def _new_job(self) -> Job:
        job = Job(max(self._jobs, default=0) + 1)
        self._jobs[job.number] = job
        self._jobs.pop(job.number - _REMEMBERED, None)
        return job

    def _mode(self) -> str:
        mode: str = self._options.raftsup.supervisor.reload
        return mode

    def _by_hand(self) -> frozenset[Takes]:
        return config_diff.MODES[self._mode()] | config_diff.BY_HAND

    def _process(self, name: str) -> Any:
        group, program = name.split(":")
        return self._parent.process_groups[group].processes[program]

    def _difference(self, wanted: Sequence[Any]) -> tuple[list[str], list[str], list[str]]:
        """Accounts' programs added, changed and removed. The dispatcher always stays."""
        running = [group.config for group in self._parent.process_groups.values()]
        added, changed, removed = groups.difference(running, wanted)
        return added, [name for name in changed if name != dispatcher.PROGRAM], removed


def _changes(found: Sequence[Change]) -> list[ChangeDocument]:
    return [{"path": change.path, "takes": str(change.takes)} for change in found]


def _problems(found: Sequence[Problem]) -> list[ProblemDocument]:
    return [{"where": p.where, "what": p.what, "hint": p.hint} for p in found]
