"""Having the parent apply the config file, or say what it would do; how it stands to the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import orjson

from raftsup.config.model import Config
from raftsup.ledger import LedgerError, open_ledger
from raftsup.ops import rpc
from raftsup.paths import StateDir
from raftsup.proc import lockfile
from raftsup.supervisor.reload import ConfigState, ProblemDocument

_POLL_S = 0.05


class FileRefused(rpc.ParentRefused):
    """The config file cannot be used, so nothing was changed; the message says why."""


class BrokenOff(rpc.ParentRefused):
    """The change was begun, or waited for its turn, and was not carried out to its end."""


def apply(state: StateDir) -> Iterator[dict[str, Any]]:
    """Apply the config file; what is done, as it is done (``supervisor.reload_job.Done``), and of a
    program that was removed how many turns its account has left.

    Raises ``FileRefused`` and ``BrokenOff`` besides what ``rpc.call`` raises.
    """
    number = rpc.call(state, "applyConfig")
    told = 0
    while True:
        progress = orjson.loads(rpc.call(state, "applyProgress", number))
        if progress is None:
            raise BrokenOff("the host was restarted meanwhile")
        for one in progress["done"][told:]:
            yield {**one, **_left(state, one["program"])} if one["what"] == "removed" else one
        told = len(progress["done"])
        if progress["refused"]:
            raise FileRefused(progress["refused"])
        if progress["brokenOff"]:
            raise BrokenOff(progress["brokenOff"])
        if progress["over"]:
            return
        time.sleep(_POLL_S)


def _left(state: StateDir, program: str) -> dict[str, int]:
    try:
        with closing(open_ledger(state.ledger, readonly=True)) as ledger:
            counts = ledger.counts().get(program.partition(":")[2])
    except LedgerError:
        return {}
    return {"running": counts.running, "queued": counts.queued} if counts else {}


def plan(state: StateDir, load: Callable[[], Config]) -> dict[str, Any]:
    """What ``apply`` would do now (``supervisor.reload.Plan``), and whether a host runs.

    Without one: the accounts that the next start runs, by this shell's file and environment.
    Raises ``FileRefused``, ``ConfigError`` without a host, and what ``rpc.call`` raises.
    """
    if lockfile.holder(state.lock) is None:
        starts = [account.id for account in load().accounts if account.runs]
        return {"running": False, "accounts": starts}
    found: dict[str, Any] = orjson.loads(rpc.call(state, "configPlan"))
    if found["problems"]:
        raise FileRefused("\n".join(map(problem, found["problems"])))
    return {"running": True, **found}


def standing(state: StateDir) -> ConfigState | None:
    """How the running config stands to its file (``supervisor.reload.ConfigState``); None where
    no parent of ours answers.
    """
    try:
        found: ConfigState = orjson.loads(rpc.call(state, "configState"))
    except (rpc.ParentDown, rpc.ParentRefused):
        return None
    return found


def problem(told: ProblemDocument) -> str:
    return f"{told['where']}: {told['what']}; {told['hint']}"


def sentence(done: Mapping[str, Any]) -> str:
    """One thing that was done, or is left to do, as a line."""
    program, what, paths = done["program"], done["what"], ", ".join(done["paths"])
    return {
        "added": f"{program}: added",
        "removed": f"{program}: removed{_what_is_left(done)}",
        "restarted": f"{program}: restarted with new settings",
        "rests": f"{program}: has new settings; it stays stopped, as an operator left it",
        "live": f"{program}: uses from now on {paths}",
        "host": f"not applied, say `raftsup restart`: {paths}",
        "restarting": f"the whole host drains and restarts: {paths}",
    }[what]


def _what_is_left(done: Mapping[str, Any]) -> str:
    running, queued = done.get("running", 0), done.get("queued", 0)
    said = f"; its running turn{'s go' if running > 1 else ' goes'} on" if running else ""
    if not queued:
        return said
    owed = f"{queued} turns stay" if queued > 1 else "a turn stays"
    return f"{said}; {owed} owed until it runs again, see `raftsup turn list`"


def plan_lines(found: Mapping[str, Any]) -> list[str]:
    """A plan for a person."""
    if not found["running"]:
        starts = ", ".join(found["accounts"]) or "no account"
        return [f"no host runs: the file is good and would take effect at the next start: {starts}"]
    paths: dict[str, list[str]] = {}
    for change in found["changes"]:
        paths.setdefault(change["takes"], []).append(change["path"])
    resting = found.get("resting", ())  # a host of an older version knows of none
    if not paths and not any((*found["removed"], *found["restarted"], *resting, *found["added"])):
        return ["nothing to apply: the host runs what the file says"]
    if found["host"]:
        whole = ", ".join(path for group in paths.values() for path in group)
        return [f"the whole host would drain and restart: {whole}"]
    lines = [f"{name}: would be removed" for name in found["removed"]]
    lines += [f"{name}: would be restarted" for name in found["restarted"]]
    lines += [f"{name}: would have new settings, and stay stopped" for name in resting]
    lines += [f"{name}: would be added" for name in found["added"]]
    for takes, text in (
        ("restart", "which takes a restart of these"),
        ("live", "without a restart, from the next turn on"),
        ("host", "not by a reload, only by `raftsup restart`"),
    ):
        if takes in paths:
            lines.append(f"{text}: {', '.join(paths[takes])}")
    return lines


def standing_lines(found: ConfigState | None, most: int = 3) -> list[str]:
    """How the running config stands to its file, for a person; [] where nothing is to be said."""
    if found is None or found["state"] == "applied":
        return []
    if found["state"] == "changed":
        return ["changed, not loaded yet"]
    if found["state"] == "refused":
        problems = [problem(told) for told in found["problems"]]
        lines = ["refused: the running config is kept until the file is fixed", *problems[:most]]
    else:
        changed = [f"{change['path']} ({change['takes']})" for change in found["changes"]]
        if not found["next"]:
            return ["is being applied"]
        lines = [f"differs from the file: `{found['next']}` applies it", *changed[:most]]
        problems = changed
    more = len(problems) - most
    return [*lines, f"and {more} more"] if more > 0 else lines
