"""The parent's part of a reload, without processes: what stops and starts, and when."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from supervisor.states import ProcessStates, SupervisorStates

from raftsup.config.model import Config, Turns
from raftsup.supervisor import reload
from raftsup.supervisor.job import Job, go_on
from raftsup.supervisor.reload import Reloads
from raftsup.supervisor.watch import SETTLED


@dataclass
class Process:
    """supervisor's process, as far as a job sees it."""

    config: Any
    group: Any
    state: int = ProcessStates.RUNNING

    def stop(self) -> None:
        self.state = ProcessStates.STOPPING


def program(name: str, profile: str) -> Any:
    made = SimpleNamespace(name=name, program=SimpleNamespace(settings=SimpleNamespace()))
    made.program.settings.profile = profile
    made.make_process = lambda group: Process(made, group, ProcessStates.STOPPED)
    return made


def group(**profiles: str) -> Any:
    """The running accounts, by profile."""
    configs = [program(name, profile) for name, profile in profiles.items()]
    made = SimpleNamespace(config=SimpleNamespace(process_configs=configs), processes={})
    made.processes = {config.name: Process(config, made) for config in configs}
    return made


def job(accounts: Any, changed: dict[str, str], added: dict[str, str] | None = None) -> Job:
    coming = {**changed, **(added or {})}
    return Job(
        1,
        leaving={f"accounts:{name}": accounts.processes[name] for name in changed},
        coming={f"accounts:{name}": program(name, profile) for name, profile in coming.items()},
        changed=[f"accounts:{name}" for name in changed],
    )


def said(job: Job) -> list[tuple[str, str]]:
    return [(one["program"], one["what"]) for one in job.done]


def test_an_account_starts_when_its_profile_is_free_and_waits_for_nobody_else() -> None:
    accounts = group(a="p", b="q", c="r")
    old = dict(accounts.processes)
    work = job(accounts, {"a": "q", "b": "p", "c": "r"})
    go_on(work, {"accounts": accounts}, print)
    assert said(work) == []
    old["a"].state = old["c"].state = ProcessStates.STOPPED
    go_on(work, {"accounts": accounts}, print)
    assert said(work) == [("accounts:c", "restarted")], "b still has a's new profile"
    assert not work.over
    old["b"].state = ProcessStates.STOPPED
    go_on(work, {"accounts": accounts}, print)
    assert said(work)[1:] == [("accounts:a", "restarted"), ("accounts:b", "restarted")]
    assert work.over
    assert [p.config.program.settings.profile for p in accounts.processes.values()] == [
        "r", "q", "p",
    ]  # fmt: skip


def test_one_that_an_operator_starts_again_meanwhile_is_stopped_again() -> None:
    accounts = group(a="p")
    (old,) = accounts.processes.values()
    work = job(accounts, {"a": "q"})
    go_on(work, {"accounts": accounts}, print)
    old.state = ProcessStates.STARTING
    go_on(work, {"accounts": accounts}, print)
    assert old.state == ProcessStates.STOPPING


def test_one_that_supervisorctl_replaced_meanwhile_is_left_as_it_is() -> None:
    accounts = group(a="p")
    work = job(accounts, {"a": "q"})
    other = accounts.processes["a"] = Process(program("a", "q"), accounts)
    go_on(work, {"accounts": accounts}, print)
    assert work.over and accounts.processes == {"a": other}
    assert other.state == ProcessStates.RUNNING


@dataclass
class Options:
    """A parent's options over a file that holds a number: ``turns.concurrency``."""

    path: Path
    during: Callable[[], None] = lambda: None
    mood: int = SupervisorStates.RUNNING
    environ: dict[str, str] = field(default_factory=dict)
    logger: logging.Logger = logging.getLogger("parent")  # noqa: RUF009
    process_group_configs: list[Any] = field(default_factory=list)
    raftsup: Config = field(init=False)

    def __post_init__(self) -> None:
        self.raftsup = self.load()

    def load(self) -> Config:
        number = int(self.path.read_text())
        self.during()
        return Config(self.path, (), turns=Turns(concurrency=number))

    def use(self, config: Config) -> None:
        self.raftsup = config


@dataclass
class Clock:
    now: float = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 2e9  # the file is old


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reload, "time", clock)
    monkeypatch.setattr(Reloads, "tell_dispatcher", lambda self: None)
    return clock


def reloads(path: Path) -> tuple[Reloads, Options]:
    path.write_text("1")
    options = Options(path)
    return Reloads(SimpleNamespace(options=options, process_groups={})), options


def settle(made: Reloads, clock: Clock) -> None:
    for _ in range(2):
        made.tick()
        clock.now += SETTLED * 1.1


def test_a_file_that_is_saved_again_while_it_is_read_is_not_applied_half(
    tmp_path: Path, clock: Clock
) -> None:
    made, options = reloads(tmp_path / "file")
    options.path.write_text("22")

    def save() -> None:
        options.during = lambda: None
        options.path.write_text("333")

    options.during = save
    settle(made, clock)
    assert options.raftsup.turns.concurrency == 1
    settle(made, clock)
    assert options.raftsup.turns.concurrency == 333


def test_an_error_of_our_own_ends_a_reload_and_not_the_host(tmp_path: Path, clock: Clock) -> None:
    made, options = reloads(tmp_path / "file")
    before = options.raftsup
    first, second = made.ask(), made.ask()
    options.path.write_text("not what load expects")
    made.tick()
    for number in (first, second):
        progress = made.progress(number)
        assert progress and progress["over"], "nobody waits for ever"
        assert "raftsup's own" in progress["brokenOff"]
    options.path.write_text("2")
    third = made.ask()
    made.tick()
    progress = made.progress(third)
    assert progress and progress["over"] and not progress["brokenOff"]
    assert options.raftsup == replace(before, turns=Turns(concurrency=2))


def test_a_host_that_stops_breaks_off_what_was_asked(tmp_path: Path, clock: Clock) -> None:
    made, options = reloads(tmp_path / "file")
    number = made.ask()
    options.mood = SupervisorStates.SHUTDOWN
    made.tick()
    progress = made.progress(number)
    assert progress and progress["brokenOff"] == "raftsup is stopping"


def test_a_file_that_is_as_young_as_the_host_is_read_a_second_time(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    options = Options(path)
    # Saved after the host had read it and before the host began to watch.
    path.write_text("2")
    monkeypatch.setattr(clock, "time", lambda: path.stat().st_mtime)
    made = Reloads(SimpleNamespace(options=options, process_groups={}))
    settle(made, clock)
    assert options.raftsup.turns.concurrency == 2
