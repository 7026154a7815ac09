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

from raftsup.config.errors import ConfigError, Problem
from raftsup.config.model import Config, LedgerSettings, Turns
from raftsup.dispatcher import main as dispatcher
from raftsup.ops.reload import standing_lines
from raftsup.paths import StateDir
from raftsup.supervisor.file_watch import BROKEN_S, SETTLE_S
from raftsup.supervisor.options import Options as ParentsOptions
from raftsup.supervisor.reload import Reloads
from raftsup.supervisor.reload_job import TRANSITIONS, Event, Job, State, go_on, rests


@dataclass
class Process:
    """supervisor's process, as far as a job sees it."""

    config: Any
    group: Any
    state: int = ProcessStates.RUNNING
    laststart: float = 0.0
    laststop: float = 0.0

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
        State.RUNNING,
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


def test_one_that_an_operator_has_stopped_gets_its_settings_and_is_not_started() -> None:
    accounts = group(a="p", b="q")
    a, b = accounts.processes.values()
    a.state, a.laststart, b.laststart = ProcessStates.STOPPED, 5.0, 5.0
    assert [rests(a), rests(b)] == [True, False]
    work = job(accounts, {"a": "r", "b": "s"})
    work.resting = {"accounts:a": a}
    go_on(work, {"accounts": accounts}, print)
    assert said(work) == [("accounts:a", "rests")]
    b.state = ProcessStates.STOPPED
    go_on(work, {"accounts": accounts}, print)
    assert said(work)[1:] == [("accounts:b", "restarted")]
    # supervisor's loop starts what has never been started.
    assert {n: p.laststart for n, p in accounts.processes.items()} == {"a": 5.0, "b": 0.0}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_a_job_makes_no_move_that_its_table_does_not_have(state: State, event: Event) -> None:
    work = Job(1, state)
    if (state, event) in TRANSITIONS:
        work.move(event, "why")
        assert (work.state, work.reason) == (TRANSITIONS[state, event], "why")
    else:
        with pytest.raises(KeyError):
            work.move(event, "why")
        assert (work.state, work.reason) == (state, "")
    ends = {State.DONE, State.REFUSED, State.BROKEN_OFF}
    assert work.over == (work.state in ends) and not any(one in ends for one, _ in TRANSITIONS)


def test_one_that_was_only_just_added_is_not_taken_for_stopped() -> None:
    (process,) = group(a="p").processes.values()
    process.state = ProcessStates.STOPPED
    assert not rests(process)


@dataclass
class Options:
    """A parent's options over a file that holds ``turns.concurrency`` and ``defaultAccount``."""

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
        number, _, default = self.path.read_text().partition(" ")
        self.during()
        return Config(self.path, (), default or None, turns=Turns(concurrency=int(number)))

    def use(self, config: Config) -> None:
        self.raftsup = config


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def reloads(path: Path, clock: Clock) -> tuple[Reloads, Options]:
    path.write_text("1")
    options = Options(path)
    made = Reloads(parent(options), clock)
    settle(made, clock)  # it reads the file once by itself
    return made, options


def parent(options: Options) -> Any:
    config = SimpleNamespace(name=dispatcher.PROGRAM, process_configs=[])
    process = SimpleNamespace(config=SimpleNamespace(), write=lambda letter: None)
    group = SimpleNamespace(config=config, processes={dispatcher.PROGRAM: process})
    return SimpleNamespace(
        options=options,
        process_groups={dispatcher.PROGRAM: group},
        ending=lambda: "the host stops",
    )


def settle(made: Reloads, clock: Clock) -> None:
    for _ in range(2):
        made.tick()
        clock.now += SETTLE_S * 1.1


def test_a_file_that_is_saved_again_while_it_is_read_is_not_applied_half(
    tmp_path: Path, clock: Clock
) -> None:
    made, options = reloads(tmp_path / "file", clock)
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
    made, options = reloads(tmp_path / "file", clock)
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
    made, options = reloads(tmp_path / "file", clock)
    number = made.ask()
    options.mood = SupervisorStates.SHUTDOWN
    made.tick()
    progress = made.progress(number)
    assert progress and progress["brokenOff"] == "the host stops"


def test_a_file_that_was_saved_while_the_host_started_is_read_a_second_time(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    options = Options(path)
    # Saved after the host had read it and before the host began to watch.
    path.write_text("2")
    made = Reloads(parent(options), clock)
    settle(made, clock)
    assert options.raftsup.turns.concurrency == 2


@pytest.mark.parametrize(("named", "there", "state"), [
    (True, False, "refused"), (True, True, "refused"), (False, True, "refused"),
    (False, False, "applied"),
])  # fmt: skip
def test_a_file_that_went_or_came_while_the_host_started_is_noticed(
    named: bool, there: bool, state: str, tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    options = Options(path)
    path.write_text("{") if there else path.unlink()
    options.load = refused  # type: ignore[method-assign]
    options.environ = {"RAFTSUP_CONFIG_PATH": str(path)}
    options.raftsup = replace(options.raftsup, path=path if named else None)
    made = Reloads(parent(options), clock)
    made.tick()
    clock.now += BROKEN_S
    made.tick()
    assert made.state()["state"] == state


def test_a_file_that_was_broken_before_the_host_restarted_is_refused_at_its_first_look(
    tmp_path: Path, clock: Clock
) -> None:
    _, options = reloads(tmp_path / "file", clock)
    options.load = refused  # type: ignore[method-assign]
    made = Reloads(parent(options), clock)
    made.tick()
    assert made.state()["state"] == "refused"


def test_a_file_that_is_saved_is_told_as_changed_until_it_was_read(
    tmp_path: Path, clock: Clock
) -> None:
    made, options = reloads(tmp_path / "file", clock)
    assert made.state()["state"] == "applied"
    options.path.write_text("2")
    assert (made.state()["state"], made.state()["next"]) == ("changed", "")
    settle(made, clock)
    assert made.state()["state"] == "applied"
    options.load = refused  # type: ignore[method-assign]
    for how in (lambda: options.path.write_text(""), options.path.unlink):
        how()
        made.tick()
        assert made.state()["state"] == "changed"
        clock.now += BROKEN_S
        made.tick()
        assert made.state()["state"] == "refused"


def refused() -> Config:
    raise ConfigError([Problem("file", "is broken", "fix it")])


def test_a_change_that_nobody_who_runs_notices_is_in_force_too(
    tmp_path: Path, clock: Clock
) -> None:
    made, options = reloads(tmp_path / "file", clock)
    options.path.write_text("1 support")
    settle(made, clock)
    assert options.raftsup.default_account == "support"
    assert made.state()["state"] == "applied"


def test_while_the_host_restarts_there_is_nothing_to_type(tmp_path: Path, clock: Clock) -> None:
    made, options = reloads(tmp_path / "file", clock)
    made.noted(replace(options.raftsup, ledger=LedgerSettings(map_size=1)))
    assert (made.state()["state"], made.state()["next"]) == ("differs", "raftsup restart")
    options.mood = SupervisorStates.RESTARTING
    assert (made.state()["state"], made.state()["next"]) == ("differs", "")
    assert standing_lines(made.state()) == ["is being applied"]


def test_a_file_that_is_gone_is_refused_where_the_environment_alone_would_do(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    found = [Config(None, ())]
    options = ParentsOptions(Config(path, ()), lambda: found[0], StateDir(tmp_path), {}, 0o022)
    with pytest.raises(ConfigError, match="the config file is gone"):
        options.load()
    found[0] = Config(path, ())
    assert options.load() is found[0]
    options.raftsup = found[0] = Config(None, ())
    assert options.load() is found[0], "it began without one"
