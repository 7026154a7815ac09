"""``raftsup inspect``: all that is known of one account, collected and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from raftsup.config.describe import describe
from raftsup.config.errors import ConfigError
from raftsup.config.model import Account, Config
from raftsup.dispatcher.scheduler import ALL
from raftsup.errors import RaftsupError
from raftsup.ledger import LedgerError, LedgerUnavailable, open_ledger
from raftsup.ops import bridge_log, status, turns
from raftsup.ops.logs import files
from raftsup.ops.status.table import age
from raftsup.paths import StateDir
from raftsup.supervisor.programs import ACCOUNTS
from raftsup.terminal import plain

_RECENT = 5


class Unknown(RaftsupError):
    """No such account; the message names those that there are."""


def collect(
    id_: str, state: StateDir, load: Callable[[], Config], environ: Mapping[str, str]
) -> dict[str, Any]:
    """The object that ``--json`` prints. Raises ``Unknown``, and ``ConfigError`` where no host
    runs and the file cannot be used.
    """
    accounts = status.accounts_of(state, load)
    chosen = [account for account in accounts if account.id == id_]
    if not chosen:
        known = ", ".join(account.id for account in accounts) or "none"
        raise Unknown(f"no account {id_!r}; there are {known}")
    whole, host = status.look(chosen, state)
    written, unread, file = _written(id_, load)
    lane = chosen[0].lane
    return {
        **whole["accounts"][0],
        "supervisor": whole["supervisor"],
        "dispatcher": whole["dispatcher"],
        "config": written,
        "configProblem": unread,
        "lane": {
            "name": lane,
            "sharedWith": [a.id for a in accounts if a.lane == lane and a.id != id_],
            **_lane(id_, lane, host.answer),
        },
        "recent": _recent(id_, state),
        "files": _files(id_, state, file),
        "bridgeLog": _bridge_log(whole["accounts"][0], chosen[0], environ),
    }


def _bridge_log(
    found: Mapping[str, Any], account: Account, environ: Mapping[str, str]
) -> dict[str, Any] | None:
    """The end of the CLI's own log, where it can be found: a worker knows best."""
    told = found["bridge"]["log"]
    path = Path(told) if told else bridge_log.path_of(account, environ)
    if path is None:
        return None
    log = bridge_log.tail(path)
    return {"path": str(path), "lines": list(log.lines), "problem": log.problem, "at": log.at}


def _written(id_: str, load: Callable[[], Config]) -> tuple[dict[str, Any] | None, str, str | None]:
    """The account as the file has it, secrets masked; why it cannot be told; the file."""
    try:
        config = load()
    except ConfigError as error:
        return None, str(error), None
    found = [a for a in describe(config)["accounts"] if a["id"] == id_]
    path = str(config.path) if config.path else None
    return (found[0], "", path) if found else (None, "it is not in the config file any more", path)


def _lane(id_: str, lane: str, answer: Mapping[str, Any] | None) -> dict[str, Any]:
    """The dispatcher's view of a lane, and of the account's agent; {} if it does not answer."""
    if answer is None:
        return {}
    health = answer["lanes"].get(lane, {})
    return {
        "failures": health.get("failures", 0),
        "notBefore": health.get("notBefore", 0.0),
        "paused": any(answer["lanes"].get(name, {}).get("paused") for name in (lane, ALL)),
        "running": [item for item in answer["running"] if item["lane"] == lane],
        "agentUnavailable": answer["unavailable"].get(id_),
    }


def _recent(id_: str, state: StateDir) -> list[dict[str, Any]]:
    try:
        with closing(open_ledger(state.ledger, readonly=True)) as ledger:
            found = ledger.recent(id_, _RECENT)
    except (LedgerError, LedgerUnavailable, OSError):
        return []
    return [
        {
            **turns.as_json(turn),
            "text": turns.line(turn),
            "transcripts": turns.transcripts(turn, state),
        }
        for turn in found
    ]


def _files(id_: str, state: StateDir, config: str | None) -> dict[str, Any]:
    names = (f"{ACCOUNTS}-{id_}.log", "dispatcher.log")
    there = [str(path) for path in files.bases(state.logs) if path.name in names]
    report = state.report(id_)
    return {
        "config": config,
        "logs": there,
        "report": str(report) if report.exists() else None,
        "stateDir": str(state.root),
    }


def page(found: Mapping[str, Any], now: float) -> str:
    """One page for people, ending in a newline."""
    lines = [f"{name:<11}{plain(value)}".rstrip() for name, value in _facts(found, now) if value]
    for number, turn in enumerate(found["recent"]):
        lines.append(f"{'' if number else 'turns':<11}{turn['text']}")
        lines += [f"{'':<13}{attempt['path']}" for attempt in turn["transcripts"]]
    return "\n".join(lines) + "\n"


def _facts(found: Mapping[str, Any], now: float) -> Iterator[tuple[str, str]]:
    bridge, wakes, counts = found["bridge"], found["wakes"], found["turns"]
    yield "account", found["account"]
    yield "state", ": ".join(filter(None, (found["state"], found["reason"])))
    host, dispatcher = found["supervisor"], found["dispatcher"]
    yield "host", _program(host["state"], host["pid"])
    yield "dispatcher", _program(dispatcher["state"], dispatcher["pid"])
    endpoint = found["endpoint"]
    url = _program(endpoint["url"] or "none", endpoint["pid"])
    yield "endpoint", f"{url}, restarts: {endpoint['restarts']}"
    yield "bridge", f"{_program(bridge['state'], bridge['pid'])}, restarts: {bridge['restarts']}"
    yield "last exit", bridge["lastExit"] or ""
    for number, line in enumerate(str(bridge["lastError"] or "").splitlines()):
        yield "" if number else "it said", line
    yield "wakes", ", ".join(f"{wakes[w]} {w}" for w in ("accepted", "duplicates", "rejected"))
    yield "owed", ", ".join(f"{counts[w]} {w}" for w in ("queued", "running", "done", "failed"))
    lane = found["lane"]
    yield "lane", _lane_line(lane, now)
    yield "agent away", lane.get("agentUnavailable") or ""
    yield "config", found["configProblem"] or found["files"]["config"] or "RAFT_PROFILE"
    for path, value in _flat(found["config"] or {}):
        yield "", f"  {path}: {value}"
    for number, log in enumerate(found["files"]["logs"]):
        yield "" if number else "logs", log
    yield "report", found["files"]["report"] or ""
    if (log := found["bridgeLog"]) is not None:
        old = f", last written {age(now - log['at'])} ago" if log["at"] else ""
        yield "CLI's log", f"{log['path']}{old}"
        for line in log["lines"] or [log["problem"]]:
            yield "", f"  {line}"


def _program(word: str, pid: int | None) -> str:
    return f"{word}, pid {pid}" if pid else word


def _lane_line(lane: Mapping[str, Any], now: float) -> str:
    words = [lane["name"]]
    if lane["sharedWith"]:
        words.append(f"shared with {', '.join(lane['sharedWith'])}")
    if lane.get("paused"):
        words.append("paused by an operator")
    if lane.get("failures"):
        words.append(f"{lane['failures']} failures in a row")
    if (wait := lane.get("notBefore", 0.0) - now) > 0:
        words.append(f"starts nothing for {wait:.0f} s")
    words += [f"runs turn {item['turn']}" for item in lane.get("running", ())]
    return ", ".join(words)


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """The settings that are something, each with its path."""
    for key, item in value.items():
        path = f"{above}{key}"
        if isinstance(item, dict):
            yield from _flat(item, f"{path}.")
        elif item is not None and item != []:
            words = item if isinstance(item, list) else [item]
            yield path, " ".join(str(w).lower() if isinstance(w, bool) else str(w) for w in words)
