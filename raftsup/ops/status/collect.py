"""What ``raftsup status`` finds: the config's accounts, and how each is now.

Nothing is believed that can be asked: a worker counts only while it holds its lock, an endpoint
while it answers, a bridge while its process lives.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from raftsup import __version__, report
from raftsup.config.errors import ConfigError
from raftsup.config.model import Account, Config
from raftsup.dispatcher.scheduler import ALL
from raftsup.dispatcher.status import DispatcherStatus
from raftsup.ledger import (
    Counts,
    Latest,
    LedgerError,
    LedgerUnavailable,
    open_ledger,
    stopped_writer,
)
from raftsup.ops import reload
from raftsup.ops.status import account_state, host_state
from raftsup.ops.status.account_state import AccountState, Found
from raftsup.ops.status.document import AccountStatus, LastTurn, Removed, Status
from raftsup.ops.status.host_state import HostState
from raftsup.ops.turns import unanswered
from raftsup.paths import StateDir, StateDirError
from raftsup.proc import liveness, lockfile
from raftsup.supervisor import active_accounts
from raftsup.supervisor.programs import ACCOUNTS
from raftsup.turn import Turn
from raftsup.worker.heartbeat import answers

_TIMEOUT = 2.0
#: Seconds past its timeout that a turn may take to end: its agent is asked, then killed.
_OVERDUE_S = 30.0
#: Endpoints asked at once: those of hung workers take the whole of their time.
_AT_ONCE = 32


@dataclass(frozen=True)
class Past:
    """What the ledger has of each account, and why it cannot be read ("": it can)."""

    trouble: str = ""
    counts: Mapping[str, Counts] = field(default_factory=dict)
    latest: Mapping[str, Latest] = field(default_factory=dict)
    #: It has no room for a new wake.
    full: bool = False
    #: Who keeps all others from writing it, and was stopped by a signal.
    writer_stopped: int | None = None


def accounts_of(state: StateDir, load: Callable[[], Config]) -> Sequence[Account]:
    """The accounts of the host that runs, and those that the config file has besides: they wait
    for a reload. Raises ``ConfigError`` where no host runs and the file cannot be used.
    """
    running = active_accounts.read(state) if lockfile.holder(state.lock) is not None else None
    if running is None:
        return load().accounts
    try:
        written = load().accounts
    except ConfigError:
        return running  # half edited, or it names secrets that only the host has
    known = {account.id for account in running}
    return [*running, *(account for account in written if account.id not in known)]


def collect(accounts: Sequence[Account], state: StateDir) -> Status:
    """The whole status: the object that ``raftsup status --json`` prints. Raises
    ``StateDirError`` for a folder that cannot be looked into.
    """
    return look(accounts, state)[0]


def look(accounts: Sequence[Account], state: StateDir) -> tuple[Status, HostState]:
    """The same, with what the host said for it."""
    _refuse_the_unreadable(state)
    host = host_state.look(state)
    past = _past(state)
    if host.supervisor["pid"] is not None and not _is_there(state.ledger / "data.mdb"):
        past = Past(
            f"{state.ledger} is gone: put it back, or begin a new one with `raftsup restart`"
        )
    with ThreadPoolExecutor(_AT_ONCE, "status") as pool:
        found = list(pool.map(partial(_account, state, host, past), accounts))
    pid = host.supervisor["pid"]
    # A worker may also be under another supervisor than ours.
    runs = pid is not None or any(account["endpoint"]["pid"] for account in found)
    whole: Status = {
        "version": __version__,
        "stateDir": str(state.root),
        "supervisor": host.supervisor,
        "dispatcher": host.dispatcher,
        "ledger": {"reason": past.trouble},
        "config": reload.standing(state) if host.processes is not None else None,
        "source": "host" if runs else "config",
        "at": time.time(),
        "accounts": found,
        "removed": _removed(accounts, past),
    }
    return whole, host


def all_ready(status: Status) -> bool:
    """Whether every enabled account is ready, and there is one; no step of a probe failed, and
    whoever restarts what dies is able to.
    """
    if host_trouble(status):
        return False
    wanted, ready = readiness(status)
    checks = [check for account in wanted for check in account.get("probe", ())]
    return 0 < len(wanted) == len(ready) and all(c["good"] is not False for c in checks)


def host_trouble(status: Status) -> str:
    """What ails the host though its accounts may all be ready still; "" where all is well."""
    supervisor, dispatcher = status["supervisor"], status["dispatcher"]
    if supervisor.get("state") == "hung":
        return f"the parent, which starts again what dies, cannot: {supervisor['reason']}"
    if dispatcher.get("state") == "draining":
        return "the host drains: running turns end, no wake is accepted and no turn started"
    if supervisor.get("state") == "stopping":
        return f"the host ends: {supervisor['reason']}"
    return ""


def readiness(status: Status) -> tuple[list[AccountStatus], list[AccountStatus]]:
    """The enabled accounts, and those of them that are ready."""
    wanted = [a for a in status["accounts"] if a["state"] != AccountState.DISABLED]
    return wanted, [a for a in wanted if a["state"] == AccountState.READY]


def _removed(accounts: Sequence[Account], past: Past) -> list[Removed]:
    """The accounts that the config has no more, and that turns are still owed to."""
    known = {account.id for account in accounts}
    return [
        {"account": name, "queued": counts.queued, "running": counts.running}
        for name, counts in sorted(past.counts.items())
        if name not in known and (counts.queued or counts.running)
    ]


def _refuse_the_unreadable(state: StateDir) -> None:
    try:
        os.scandir(state.root).close()
    except FileNotFoundError:
        return  # nothing has run here yet
    except OSError as error:
        raise StateDirError(
            f"state folder {state.root}: {error.strerror}; look as its owner, or name another with"
            " --state-dir"
        ) from error


def _past(state: StateDir) -> Past:
    if not state.ledger.is_dir():
        return Past()
    try:
        ledger = open_ledger(state.ledger, readonly=True)
    except (LedgerError, LedgerUnavailable, OSError) as error:
        return Past(str(error) if _is_there(state.ledger / "data.mdb") else "")
    try:
        return Past(
            "", ledger.counts(), ledger.latest(), ledger.full(), stopped_writer(state.ledger)
        )
    except LedgerError as error:
        return Past(str(error))
    finally:
        ledger.close()


def _is_there(path: Path) -> bool:
    """Also where nobody may look: that is no sign that nothing has happened yet."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _account(state: StateDir, host: HostState, past: Past, account: Account) -> AccountStatus:
    counts = past.counts.get(account.id, Counts())
    latest = past.latest.get(account.id, Latest())
    lock = state.reports / f"{account.id}.lock"
    worker = lockfile.holder(lock)
    said = report.read(state.report(account.id)) or {}
    bridge = said.get("bridge", {})
    # The report of a dead worker tells what was, not what is.
    current = worker is not None and said.get("pid") == worker
    stopped = _stopped(worker)
    bridge_stopped = _stopped(bridge.get("pid")) if current else None
    info = None
    if host.processes is not None:
        info = host.processes.get(
            f"{ACCOUNTS}:{account.id}", {"statename": "absent", "spawnerr": ""}
        )
    found = Found(
        process=info["statename"].lower() if info else None,
        remark=info["spawnerr"] if info else "",
        worker=worker is not None,
        stopped=stopped,
        reported=current,
        answers=current and stopped is None and _answers(said.get("url", "")),
        bridge=bridge.get("state", "stopped") if current else "stopped",
        reason=bridge.get("reason", "") if current else "",
        bridge_alive=current and liveness.lives(bridge.get("pid")),
        bridge_stopped=bridge_stopped,
        dispatcher=host.answer is not None,
        dispatcher_stopped=_stopped(host.dispatcher["pid"]),
        dispatcher_comes=host.dispatcher["state"] == "starting",
        lane=_lane_note(account, host.answer),
        full=past.full,
        writer_stopped=past.writer_stopped,
        failed=unanswered(latest.unanswered) if latest.unanswered else "",
        held=host.answer["held"].get(account.id, 0) if host.answer else 0,
    )
    word, reason = account_state.judge(account, found)
    return {
        "account": account.id,
        "profile": account.profile,
        "agent": account.agent.kind if account.agent else None,
        "state": str(word),
        "reason": reason,
        "endpoint": {
            "url": said.get("url") if current else None,
            "pid": worker,
            "restarts": host_state.restarts(info),
        },
        "bridge": {
            "state": found.bridge if bridge_stopped is None else "stopped",
            "pid": bridge.get("pid") if current else None,
            "restarts": bridge.get("restarts", 0) if current else 0,
            "lastExit": bridge.get("lastExit"),
            "lastError": bridge.get("lastError"),
            "heardAt": bridge.get("heardAt") if current else None,
            "heardAgo": _ago(bridge.get("heardAt")) if current else None,
            "graceUntil": account_state.grace_until(bridge) if current else None,
            "log": bridge.get("log") or None,
        },
        "wakes": {
            "accepted": counts.accepted,
            "duplicates": counts.duplicates,
            "rejected": said.get("rejected", 0),
            "lastAt": latest.wake_at,
        },
        "turns": {
            "queued": counts.queued,
            "running": counts.running,
            "done": counts.done,
            "failed": counts.failed,
            "unanswered": [turn.id for turn in latest.unanswered],
            "last": _last(latest.turn),
        },
    }


def _ago(moment: float | None) -> float | None:
    """Seconds since; None: never."""
    return max(0.0, round(time.time() - moment, 1)) if moment else None


def _last(turn: Turn | None) -> LastTurn | None:
    """The turn that runs, else the one that ended last; ``at``: since when it is what it is."""
    if turn is None:
        return None
    return {"turn": turn.id, "state": str(turn.state), "at": turn.ended_at or turn.started_at}


def _lane_note(account: Account, dispatcher: DispatcherStatus | None) -> str:
    """Why the account's lane starts nothing now; "" if it does."""
    if dispatcher is None:
        return ""
    if away := dispatcher["unavailable"].get(account.id):
        return f"{away}: wakes are accepted, none is run"
    for turn in dispatcher["running"]:
        late = time.time() - (turn.get("dueAt") or math.inf)
        if turn["lane"] == account.lane and late > _OVERDUE_S:
            return (
                f"turn {turn['turn']} of its lane should have been ended {late:.0f} s ago, and is"
                " not: nothing else of it is run; `raftsup ctl restart dispatcher` ends it"
            )
    lanes = dispatcher["lanes"]
    for name in (ALL, account.lane):
        if name in lanes and lanes[name]["paused"]:
            which = "every lane" if name == ALL else f"lane {name}"
            fix = "raftsup resume" if name == ALL else f"raftsup resume {account.id}"
            return (
                f"{which} is paused by an operator: wakes are accepted, none is run; `{fix}` ends"
                " that"
            )
    lane = lanes.get(account.lane)
    if lane is not None and (wait := lane["notBefore"] - time.time()) > 0:
        return (
            f"its turns keep failing ({lane['failures']} in a row): none starts in the next"
            f" {math.ceil(wait)} s; `raftsup turn list {account.id}` shows why, `raftsup resume"
            f" {account.id}` ends the rest"
        )
    return ""


def _stopped(pid: int | None) -> int | None:
    """The process if a signal stopped it."""
    return pid if liveness.stopped(pid) else None


def _answers(url: str) -> bool:
    port = urlsplit(url).port
    return port is not None and answers(port, _TIMEOUT)
