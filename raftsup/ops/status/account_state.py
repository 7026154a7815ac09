"""The state of an account in one word and a reason: a pure rule over what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from raftsup.config.model import Account
from raftsup.proc.liveness import by_signal


class AccountState(StrEnum):
    READY = "ready"
    STARTING = "starting"
    #: Its bridge runs, and Raft has not answered it yet: until then the CLI says nothing.
    CONNECTING = "connecting"
    DEGRADED = "degraded"
    DOWN = "down"
    DISABLED = "disabled"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True)
class Found:
    """What a look at the host found of one account."""

    #: supervisor's state of the worker ("running", "backoff", …) and its remark; None where the
    #: worker is under another supervisor.
    process: str | None = None
    remark: str = ""
    #: A worker process holds the account.
    worker: bool = False
    #: Its pid if a signal stopped it.
    stopped: int | None = None
    #: It has told of itself; only then is there an endpoint to ask.
    reported: bool = True
    #: Its endpoint answered a request just now.
    answers: bool = False
    #: The bridge's state and reason, as its living worker reports them.
    bridge: str = "stopped"
    reason: str = ""
    #: The bridge's process lives.
    bridge_alive: bool = False
    #: Its pid if a signal stopped it.
    bridge_stopped: int | None = None
    dispatcher: bool = False
    #: Its pid if a signal stopped it.
    dispatcher_stopped: int | None = None
    #: It does not answer, but was started a moment ago.
    dispatcher_comes: bool = False
    #: Why its lane starts nothing now; "" if it does.
    lane: str = ""
    #: The ledger takes no new wake: it is full, or this process keeps all others from writing it
    #: and was stopped by a signal.
    full: bool = False
    writer_stopped: int | None = None
    #: What there is to say of turns that failed, and that nobody retried or dismissed.
    failed: str = ""
    #: Turns that are owed and wait for the account to run.
    held: int = 0


#: A bridge that was just restarted and listened before counts as well for so many seconds.
GRACE = 30.0
#: It listened at most so many seconds before that start.
_RECENTLY = 120.0


def judge(account: Account, found: Found) -> tuple[AccountState, str]:
    """The state, and for every other than ready the reason."""
    state, reason = _judge(account, found)
    if found.held:
        reason += f"; {found.held} turns are queued and held until it runs"
    return state, reason


def _judge(account: Account, found: Found) -> tuple[AccountState, str]:
    if account.problem is not None and account.enabled:
        return AccountState.MISCONFIGURED, account.problem
    if not account.enabled:
        return AccountState.DISABLED, "enabled: false in the config"
    if not found.worker:
        return _without_worker(account, found)
    if not found.answers:
        return _without_endpoint(account, found)
    if (pid := found.bridge_stopped) is not None:
        return AccountState.DEGRADED, by_signal(pid, "the bridge")
    if found.bridge != "listening" or not found.bridge_alive:
        return _without_bridge(found)
    return _with_bridge(found)


def _with_bridge(found: Found) -> tuple[AccountState, str]:
    if found.dispatcher_comes and not found.dispatcher:
        return AccountState.STARTING, "the dispatcher has just been started"
    if (pid := found.writer_stopped) is not None:
        why = by_signal(pid, "the process that writes the ledger")
        return AccountState.DEGRADED, (
            f"{why}; until then new wakes are refused (Raft sends them again) and no turn starts"
        )
    if (pid := found.dispatcher_stopped) is not None:
        why = by_signal(pid, "the dispatcher")
        return AccountState.DEGRADED, f"{why}; until then wakes are accepted, none is run"
    if not found.dispatcher:
        return AccountState.DEGRADED, "the dispatcher is down: wakes are accepted, none is run"
    if found.full:
        return AccountState.DEGRADED, (
            "the ledger is full: new wakes are refused (Raft sends them again) until turns end and"
            " are swept; `raftsup doctor` says more"
        )
    if found.lane or found.failed:
        return AccountState.DEGRADED, "; ".join(filter(None, (found.lane, found.failed)))
    return AccountState.READY, ""


def _without_bridge(found: Found) -> tuple[AccountState, str]:
    match found.bridge:
        case "stopped":
            return AccountState.STARTING, found.reason
        case "listening" | "connecting" if not found.bridge_alive:
            return AccountState.DEGRADED, "the bridge's process has just died"
        case "connecting":
            return AccountState.CONNECTING, found.reason
        case state:
            return AccountState.DEGRADED, found.reason or f"the bridge is {state}"


def grace_until(bridge: Mapping[str, Any]) -> float | None:
    """Until when a bridge that connects counts as well: one that listened a moment ago and has
    died at most once since. Unix seconds; None: it does not. ``bridge``: as its worker reports it.
    """
    since, listened = bridge.get("since", 0.0), bridge.get("listenedAt", 0.0)
    again = bridge.get("state") == "connecting" and bridge.get("failures", 0) <= 1
    return since + GRACE if again and listened and since - listened <= _RECENTLY else None


def _without_worker(account: Account, found: Found) -> tuple[AccountState, str]:
    match found.process:
        case None:
            return AccountState.DOWN, "no worker runs for this account"
        case "running" | "starting":
            return AccountState.STARTING, "the worker has just been started"
        case "backoff":
            return AccountState.DOWN, f"the worker keeps dying: {found.remark}"
        case "absent":
            return AccountState.DOWN, "not in the running config yet: `raftsup reload`"
        case "stopped":
            start = f"`raftsup ctl start accounts:{account.id}` starts it"
            return AccountState.DOWN, f"the worker is stopped; {start}"
        case state:
            why = f"the worker is {state}"
            if found.remark:
                why += f": {found.remark}"
            return AccountState.DOWN, f"{why}; `raftsup logs {account.id}` shows more"


def _without_endpoint(account: Account, found: Found) -> tuple[AccountState, str]:
    if (pid := found.stopped) is not None:
        return AccountState.DEGRADED, by_signal(pid, "the worker")
    if found.process == "starting":
        return AccountState.STARTING, "the endpoint does not listen yet"
    if not found.reported:
        fix = f"if it stays so, `raftsup ctl restart accounts:{account.id}`"
        return AccountState.DEGRADED, f"the worker runs and tells nothing of itself; {fix}"
    return AccountState.DEGRADED, "the worker runs but its endpoint does not answer"
