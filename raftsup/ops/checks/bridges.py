"""Bridges and turns that are not this host's, and what dead ones left."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import orjson

from raftsup import raft_home, report
from raftsup.config.model import Account
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, NotFixed, fail, good, warning
from raftsup.ops.checks.machine import folder_of
from raftsup.ops.checks.processes import Process, above, belongs
from raftsup.worker.bridge import lockfile

#: Below a profile's folder (RAFT_PROTOCOL, "Starting the bridge").
_LOCKS = "agent-comms-core/*/*/bridge.lock"
_HINTS = "agent-comms-core/*/*/wake-hints.jsonl"
#: Names of an OpenClaw Gateway's process: its title, and the program that it was started as.
_GATEWAY = ("openclaw-gateway", "openclaw", "openclaw.mjs")
#: What marks a process of one attempt, or of an agent that stays.
_MARKS = ("RAFTSUP_TURN", "RAFTSUP_LANE")


def locks(scene: Scene) -> Iterator[Finding]:
    found = not scene.accounts
    for account in scene.accounts:
        for path in lock_files(scene, account):
            profile = account.profile or ""
            try:
                verdict = lockfile.judge(path.read_bytes(), profile, lockfile.living)
            except OSError:
                continue
            if verdict.stale or verdict.doubt:
                found = True
                yield judge_lock(path, profile, verdict)
    if not found:
        yield good("no stale lock of these profiles' bridges")


def lock_files(scene: Scene, account: Account) -> list[Path]:
    """Where the bridge of an account has its lock, or told that it has."""
    said = report.read(scene.state.report(account.id)) or {}
    told = lockfile.told_path(str(said.get("bridge", {}).get("lastError") or ""))
    place = raft_home.profile_dir(account.profile or "", scene.env)
    found = sorted(place.glob(_LOCKS))
    return list(dict.fromkeys([*([told] if told else []), *found]))


def judge_lock(path: Path, profile: str, verdict: lockfile.Verdict) -> Finding:
    repair, why = partial(_heal, path, profile), verdict.why
    if verdict.doubt:
        return warning(f"{path}: {why}", f"until then no bridge of {profile} starts",
                       f"rm {shlex.quote(str(path))}",
                       advice="only once you have looked: a living bridge needs it")  # fmt: skip
    if why.endswith("is dead"):
        # A bridge leaves it at each end.
        return good(f"{path}: {why}; the next bridge takes it over", repair)
    return warning(f"{path} is stale: {why}", f"the Raft CLI takes it for a bridge of {profile}"
                   " that runs, and starts none", "raftsup doctor --fix", repair)  # fmt: skip


def _heal(path: Path, profile: str) -> str:
    try:
        verdict = lockfile.heal(path, profile)
    except FileNotFoundError:
        return f"{path} is gone already"
    if not verdict.stale:
        raise NotFixed(verdict.why)
    return f"{path}: removed, {verdict.why}"


def hints(scene: Scene) -> Iterator[Finding]:
    """A line that was cut short, as by a full disk, ends every bridge of the profile at its start
    [agentCommsCore/bridge.ts].
    """
    found = False
    for account in scene.accounts:
        place = raft_home.profile_dir(account.profile or "", scene.env)
        for path in sorted(place.glob(_HINTS)):
            if (line := damaged(path)) is not None:
                found = True
                yield fail(f"{path}: line {line} is damaged",
                          f"each bridge of {account.profile} ends with INTERNAL_BUG at its start",
                          f"mv {shlex.quote(str(path))} {shlex.quote(f'{path}.damaged')}",
                          advice="the agent reads its whole inbox at its next wake")  # fmt: skip
    if not found:
        yield good("what these profiles' bridges have kept can be read")


def damaged(path: Path) -> int | None:
    """The number of the first line that is not JSON; None if all are, or there is no file."""
    try:
        lines = raft_home.regular(path).split(b"\n")
    except OSError:
        return None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                orjson.loads(line)
            except orjson.JSONDecodeError:
                return number
    return None


def others(scene: Scene) -> Iterator[Finding]:
    """Bridges of our profiles that this host did not start."""
    accounts = {a.profile: a.id for a in scene.accounts if a.profile}
    found = not accounts
    for profile, process in strangers(accounts, scene.processes, scene.running, scene.env):
        found = True
        yield judge_other(accounts[profile], process, scene.processes, folder_of)
    if not found:
        yield good("no other bridge of these profiles runs on this machine")


def strangers(
    profiles: Mapping[str, str],
    processes: Mapping[int, Process],
    ours: frozenset[int],
    env: Mapping[str, str],
) -> Iterator[tuple[str, Process]]:
    """Bridges of ``profiles`` not below ``ours``, whose profiles lie where ours do."""
    place = raft_home.place(env)
    for process in processes.values():
        for profile in profiles:
            if lockfile.profile_of(_seen(process)) != profile:
                continue
            if belongs(process.pid, ours, processes) or not _looks_in(place, process.environ):
                continue
            parent = processes.get(process.parent)
            if parent is None or lockfile.profile_of(_seen(parent)) != profile:
                yield profile, process  # not a second time for what it started itself


def _seen(process: Process) -> lockfile.Process:
    return lockfile.Process(process.pid, process.argv, process.environ)


def _looks_in(place: raft_home.Place, env: Mapping[str, str]) -> bool:
    """Whether a process within ``env`` (empty: nobody may read it) has its profiles there."""
    return bool(env) and place.is_as(raft_home.place(env))


def judge_other(
    account: str,
    process: Process,
    processes: Mapping[int, Process],
    folder_of: Callable[[int], Path | None],
) -> Finding:
    """``folder_of``: the state folder that a pid is the host of."""
    fix, advice, whose = process.kill, "", ", stopped by a signal" * process.stopped
    parents = list(above(process.pid, processes))[1:]
    for parent in parents:
        line = " ".join(parent.argv).strip()
        if line.startswith("raftsup: accounts"):
            whose += f", below another raftsup (worker pid {parent.pid})"
            folder = next(filter(None, (folder_of(p.pid) for p in parents)), None)
            fix = "raftsup status --deep"
            if folder:
                fix = f"raftsup stop --state-dir {shlex.quote(str(folder))}"
            advice = "that is to stop the other host; or disable the account in one of the two"
            break
        if any(Path(word).name.strip() in _GATEWAY for word in parent.argv):
            whose, fix = f"{whose}, below an OpenClaw Gateway (pid {parent.pid})", ""
            advice = "set channels.raft.enabled: false in its openclaw.json and restart the Gateway"
            break
    return fail(
        f"account {account}: another bridge of its profile runs: pid {process.pid}{whose}",
        "one bridge a profile can listen: either of the two gets no wakes",
        fix,
        advice=advice,
    )


def strays(scene: Scene) -> Iterator[Finding]:
    """Processes of this host's turns that no dispatcher keeps any more."""
    left = list(orphans(str(scene.state.root), scene.processes, scene.running, os.getpid()))
    if not left:
        yield good("no process of a turn whose host is gone")
    for process in left:
        env = process.environ
        turn = env.get("RAFTSUP_TURN")
        of = f"turn {turn}" if turn else f"lane {env.get('RAFTSUP_LANE')}"
        program = process.argv[0] if process.argv else "unnamed"
        yield warning(f"pid {process.pid} ({program}) is left of {of}, whose host is gone",
                      "it may still write, until the next turn of its lane kills it",
                      process.kill)  # fmt: skip


def orphans(
    root: str, processes: Mapping[int, Process], ours: frozenset[int], me: int
) -> Iterator[Process]:
    """What carries the marks of the state folder ``root`` and is not below ``ours``; ``me`` may
    itself be called by an agent.
    """
    mine = {process.pid for process in above(me, processes)}
    for process in processes.values():
        env = process.environ
        marked = env.get("RAFTSUP_STATE_DIR") == root and any(mark in env for mark in _MARKS)
        if marked and process.pid not in mine and not belongs(process.pid, ours, processes):
            yield process
