"""The host's own two programs, supervisor and dispatcher: each in a word and a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raftsup.dispatcher import control_client
from raftsup.dispatcher import status as dispatcher_status
from raftsup.dispatcher.status import DispatcherStatus
from raftsup.ops import rpc
from raftsup.ops.status.document import Program
from raftsup.paths import StateDir
from raftsup.proc import lockfile
from raftsup.proc.liveness import by_signal, stopped

#: Seconds that each may take to answer. The parent forks its programs between two answers.
_PARENT, _DISPATCHER = 5.0, 2.0
#: Seconds after its start when a dispatcher that has not answered yet is no longer "starting".
_COMES_UP = 10.0
_SILENT = "it does not answer yet"

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class HostState:
    supervisor: Program
    dispatcher: Program
    #: supervisor's view by name; None where no parent of ours answers.
    processes: dict[str, Any] | None
    #: The dispatcher's own words; None where it does not answer.
    answer: DispatcherStatus | None


def look(state: StateDir) -> HostState:
    parent = lockfile.holder(state.lock)
    asleep = stopped(parent)
    # Nothing would be the answer, after all of its time.
    processes, trouble = (None, None) if asleep else _processes(state)
    info = (processes or {}).get("dispatcher:dispatcher")
    pid = lockfile.holder(state.dispatcher_lock)
    paused = stopped(pid)
    answer = None if paused else _ask(state)
    said = of_supervisor(parent, trouble, asleep)
    told = of_dispatcher(answer, info, pid, paused)
    return HostState(
        {"state": said[0], "pid": parent, "reason": said[1]},
        {
            "state": told[0],
            "pid": answer["pid"] if answer else pid,
            "reason": told[1],
            "restarts": restarts(info),
        },
        processes,
        answer,
    )


def restarts(info: Facts | None) -> int:
    """Deaths that nobody asked for, of a program of supervisor's; 0 where it does not count them:
    an older host.
    """
    count: int = (info or {}).get("restarts", 0)
    return count


def of_supervisor(
    parent: int | None, trouble: Exception | None, asleep: bool = False
) -> tuple[str, str]:
    """Its state and why: ``parent`` holds the state folder, ``trouble`` is what came of asking it;
    ``asleep``: stopped by a signal.
    """
    if parent is None:
        return "stopped", ""
    if asleep:
        return "hung", by_signal(parent)
    match trouble:
        case None:
            return "running", ""
        case rpc.ParentSilent():
            return "hung", f"it gives no answer; `kill -KILL {parent}` if it stays so"
        case rpc.ParentRefused():
            return "stopping", str(trouble)  # or draining, or on its way to a restart
        case _:
            return "starting", str(trouble)


def of_dispatcher(
    answer: DispatcherStatus | None,
    info: Facts | None,
    pid: int | None = None,
    paused: bool = False,
) -> tuple[str, str]:
    """Its state and why: ``answer`` is its own, ``info`` supervisor's, ``pid`` holds its lock;
    None: there is none.
    """
    if answer is not None:
        if answer["draining"]:
            return "draining", "it finishes what runs and starts no turn"
        return "running", ""
    if pid is not None and paused:
        return "hung", by_signal(pid)
    if info is None:
        return ("stopped", "") if pid is None else ("starting", _SILENT)
    word, remark = info["statename"].lower(), info["spawnerr"] or "nobody knows why"
    match word:
        # Its process may run and not answer: that is not running.
        case "running" | "starting":
            if info["now"] - info["start"] < _COMES_UP:
                return "starting", _SILENT
            return "hung", f"its process, pid {info['pid']}, gives no answer; it will be restarted"
        case "backoff":
            return word, f"it keeps dying: {remark}; `raftsup logs` shows why"
        case "stopped":
            return word, "`raftsup ctl start dispatcher` starts it"
        case "stopping":
            return word, ""
        case _:
            return word, f"it is not started again: {remark}; `raftsup logs` shows more"


def _processes(state: StateDir) -> tuple[dict[str, Any] | None, Exception | None]:
    try:
        infos = rpc.call(state, "getAllProcessInfo", patience=_PARENT)
    except (rpc.ParentDown, rpc.ParentRefused) as error:
        return None, error
    return {f"{info['group']}:{info['name']}": info for info in infos}, None


def _ask(state: StateDir) -> DispatcherStatus | None:
    try:
        return dispatcher_status.ask(state.dispatcher_socket, _DISPATCHER)
    except (control_client.DispatcherDown, control_client.DispatcherRefused):
        return None
