"""What ``raftsup status`` finds: the config's accounts, and how each is now.

Nothing is believed that can be asked: a worker counts only while it holds its lock, an endpoint
while it answers, a bridge while its process lives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import psutil

from raftsup import __version__, flock
from raftsup.config.load import ConfigError
from raftsup.config.model import Account, Config
from raftsup.dispatcher import client
from raftsup.dispatcher.lanes import ALL
from raftsup.ledger import Counts, Latest, LedgerError, LedgerUnavailable, open_ledger
from raftsup.ops import account_state, reload, rpc
from raftsup.ops.account_state import AccountState, Found
from raftsup.paths import StateDir
from raftsup.supervisor import roster
from raftsup.supervisor.programs import ACCOUNTS
from raftsup.turn import Turn
from raftsup.worker import report
from raftsup.worker.pulse import answers

_TIMEOUT = 2.0


def accounts_of(state: StateDir, load: Callable[[], Config]) -> Sequence[Account]:
    """The accounts of the host that runs, and those that the config file has besides: they wait
    for a reload. Raises ``ConfigError`` where no host runs and the file cannot be used.
    """
    running = roster.read(state) if flock.holder(state.lock) is not None else None
    if running is None:
        return load().accounts
    try:
        written = load().accounts
    except ConfigError:
        return running  # half edited, or it names secrets that only the host has
    known = {account.id for account in running}
    return [*running, *(account for account in written if account.id not in known)]


def collect(accounts: Sequence[Account], state: StateDir) -> dict[str, Any]:
    """The whole status: the object that ``raftsup status --json`` prints."""
    processes = _processes(state)
    answer = _ask_dispatcher(state)
    dispatcher = _dispatcher(answer, processes)
    counts, latest = _past(state)
    pid = flock.holder(state.lock)
    found = [
        _account(
            account,
            state,
            processes,
            answer,
            counts.get(account.id, Counts()),
            latest.get(account.id, Latest()),
        )
        for account in accounts
    ]
    # A worker may also be under another supervisor than ours.
    runs = pid is not None or any(account["endpoint"]["pid"] for account in found)
    return {
        "version": __version__,
        "stateDir": str(state.root),
        "supervisor": {"state": "running" if pid is not None else "stopped", "pid": pid},
        "dispatcher": dispatcher,
        "config": reload.standing(state),
        "source": "host" if runs else "config",
        "at": time.time(),
        "accounts": found,
    }


def all_ready(status: dict[str, Any]) -> bool:
    """Whether every enabled account is ready, and there is one; and no step of a probe failed."""
    enabled = [a for a in status["accounts"] if a["state"] != AccountState.DISABLED]
    checks = [check for account in enabled for check in account.get("probe", ())]
    ready = all(account["state"] == AccountState.READY for account in enabled)
    return bool(enabled) and ready and all(check["good"] is not False for check in checks)


def _processes(state: StateDir) -> dict[str, Any] | None:
    """supervisor's view by name; None where no parent of ours answers."""
    try:
        infos = rpc.call(state, "getAllProcessInfo")
    except (rpc.ParentDown, rpc.ParentRefused):
        return None
    return {f"{info['group']}:{info['name']}": info for info in infos}


def _ask_dispatcher(state: StateDir) -> dict[str, Any] | None:
    try:
        return client.request(state.dispatcher_socket, "status", timeout=_TIMEOUT)
    except (client.DispatcherDown, client.DispatcherRefused):
        return None


def _dispatcher(answer: dict[str, Any] | None, processes: dict[str, Any] | None) -> dict[str, Any]:
    if answer is None:
        info = (processes or {}).get("dispatcher:dispatcher")
        word = info["statename"].lower() if info else "stopped"
        # Its process may run and not answer: that is not running.
        return {"state": "starting" if word == "running" else word, "pid": None}
    return {"state": "draining" if answer["draining"] else "running", "pid": answer["pid"]}


def _past(state: StateDir) -> tuple[dict[str, Counts], dict[str, Latest]]:
    """What the ledger has of each account; nothing where it cannot be read."""
    try:
        ledger = open_ledger(state.ledger, readonly=True)
    except (LedgerError, LedgerUnavailable):
        return {}, {}
    try:
        return ledger.counts(), ledger.latest()
    except LedgerError:
        return {}, {}
    finally:
        ledger.close()


def _account(
    account: Account,
    state: StateDir,
    processes: dict[str, Any] | None,
    dispatcher: dict[str, Any] | None,
    counts: Counts,
    latest: Latest,
) -> dict[str, Any]:
    lock = state.reports / f"{account.id}.lock"
    worker = flock.holder(lock)
    said = report.read(state.report(account.id)) or {}
    bridge = said.get("bridge", {})
    # The report of a dead worker tells what was, not what is.
    current = worker is not None and said.get("pid") == worker
    info = None
    if processes is not None:
        info = processes.get(f"{ACCOUNTS}:{account.id}", {"statename": "absent", "spawnerr": ""})
    found = Found(
        process=info["statename"].lower() if info else None,
        remark=info["spawnerr"] if info else "",
        worker=worker is not None,
        answers=current and _answers(said.get("url", "")),
        bridge=bridge.get("state", "stopped") if current else "stopped",
        reason=bridge.get("reason", "") if current else "",
        bridge_alive=current and lives(bridge.get("pid")),
        dispatcher=dispatcher is not None,
        lane=_lane_note(account, dispatcher or {}),
        held=(dispatcher or {}).get("held", {}).get(account.id, 0),
    )
    word, reason = account_state.judge(account, found)
    return {
        "account": account.id,
        "profile": account.profile,
        # None for a running host: its roster has no agents, and the file may say otherwise.
        "agent": account.agent.kind if account.agent else None,
        "state": str(word),
        "reason": reason,
        "endpoint": {"url": said.get("url") if current else None, "pid": worker},
        "bridge": {
            "state": found.bridge,
            "pid": bridge.get("pid") if current else None,
            "restarts": bridge.get("restarts", 0) if current else 0,
            "lastExit": bridge.get("lastExit"),
            "lastError": bridge.get("lastError"),
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
            "last": _last(latest.turn),
        },
    }


def _last(turn: Turn | None) -> dict[str, Any] | None:
    """The turn that runs, else the one that ended last; ``at``: since when it is what it is."""
    if turn is None:
        return None
    return {"turn": turn.id, "state": str(turn.state), "at": turn.ended_at or turn.started_at}


def lives(pid: int | None) -> bool:
    """Whether the process can do anything: neither dead nor stopped by a signal."""
    still = (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
    try:
        return pid is not None and psutil.Process(pid).status() not in still
    except psutil.NoSuchProcess:
        return False


def _lane_note(account: Account, dispatcher: dict[str, Any]) -> str:
    """Why the account's lane starts nothing now; "" if it does."""
    if away := dispatcher.get("unavailable", {}).get(account.id):
        return f"{away}: wakes are accepted, none is run"
    lanes = dispatcher.get("lanes", {})
    for name in (ALL, account.lane):
        if lanes.get(name, {}).get("paused"):
            which = "every lane" if name == ALL else f"lane {name}"
            return f"{which} is paused by an operator: wakes are accepted, none is run"
    lane = lanes.get(account.lane, {})
    wait = lane.get("notBefore", 0.0) - time.time()
    if wait > 0:
        return (
            f"its turns keep failing ({lane['failures']} in a row): none starts in the next"
            f" {wait:.0f} s; `raftsup turn list {account.id}` shows why"
        )
    return ""


def _answers(url: str) -> bool:
    port = urlsplit(url).port
    return port is not None and answers(port, _TIMEOUT)
