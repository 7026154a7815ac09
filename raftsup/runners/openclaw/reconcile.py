"""What became of a run that we lost sight of: a decision over what its Gateway tells. Pure.

After a lost connection the Gateway is the same boot, and knows. After its restart it knows only
what it wrote down: the task of the run, and the session's row. It resumes by itself a session
whose run was cut off, some seconds after it answers ("your previous turn was interrupted"): that
run is then the end of ours. Seen with 2026.9.6, a task's life is ``running`` and, cut off,
``cancelled``; the row of a session that will be resumed says ``running`` and ``abortedLastRun``,
while the resumed run goes on ``running`` alone, and after it ``done`` with its own ``lastRunId``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

KIND = "openclaw"
#: Seconds that a restarted Gateway is given to resume a session that it marked for it. It resumes
#: one at a time, each when the one before has ended.
WATCH_S = 180.0


@dataclass(frozen=True)
class Handle:
    """What is written down of a run before it is asked for."""

    #: The idempotency key, which is the run's id.
    run: str
    #: The boot of the Gateway that it was sent to. The same key means nothing to another boot:
    #: that one answers "accepted" and may never run it.
    boot: str
    session: str


def pack(handle: Handle) -> str:
    return f"{KIND}:{orjson.dumps(vars(handle)).decode()}"


def unpack(text: str) -> Handle | None:
    """None for a text that is no handle of ours."""
    kind, _, data = text.partition(":")
    try:
        return Handle(**orjson.loads(data)) if kind == KIND else None
    except (orjson.JSONDecodeError, TypeError):
        return None


class Fate(StrEnum):
    ENDED = "ended"
    #: It, or the run by which the Gateway resumed it, goes on: wait for ``run``.
    GOES_ON = "goes_on"
    #: The Gateway is about to resume it: look again.
    PENDING = "pending"
    #: This boot has no trace of it: ask for it, with the same key.
    UNKNOWN = "unknown"
    #: Another boot, and nothing of it runs or will: only a new attempt helps.
    GONE = "gone"


@dataclass(frozen=True)
class Found:
    fate: Fate
    run: str = ""
    #: With ENDED: as ``agent.wait`` puts it.
    status: str = ""
    error: str = ""


@dataclass(frozen=True)
class Traces:
    """What a Gateway tells when it is asked."""

    boot: str
    #: ``agent.wait`` of the run, without waiting.
    wait: Mapping[str, Any] = field(default_factory=dict)
    #: ``tasks.list`` of the session, newest first.
    tasks: Sequence[Mapping[str, Any]] = ()
    #: ``sessions.describe``; None for a session that is not there.
    row: Mapping[str, Any] | None = None
    #: Seconds since this boot began.
    watched: float = 0.0


#: A task's end, and a row's, as ``agent.wait`` would put it. A cut-off run's task is cancelled.
_TASK_ENDS = {"completed": "ok", "failed": "error", "timed_out": "timeout"}
_ROW_ENDS = {"done": "ok", "failed": "error", "killed": "aborted", "timeout": "timeout"}


def is_over(wait: Mapping[str, Any]) -> bool:
    """Whether an answer to ``agent.wait`` tells of an end. ``timeout`` alone says only that the
    wait is over.
    """
    status = wait.get("status")
    return status in ("ok", "error") or (status == "timeout" and "endedAt" in wait)


def find(handle: Handle, traces: Traces) -> Found:
    """What became of the run of ``handle``."""
    if is_over(traces.wait):
        return Found(Fate.ENDED, handle.run, str(traces.wait["status"]))
    task = next((t for t in traces.tasks if t.get("runId") == handle.run), None)
    status = str(task.get("status")) if task is not None else ""
    if status in _TASK_ENDS:
        error = str((task or {}).get("error") or "")
        return Found(Fate.ENDED, handle.run, _TASK_ENDS[status], error)
    if traces.boot != handle.boot:
        return _after_restart(handle, traces)
    if status == "cancelled":  # this boot lives: nothing cut it off, somebody aborted it
        return Found(Fate.ENDED, handle.run, "aborted")
    if end := _row_end(handle, traces):
        return Found(Fate.ENDED, handle.run, end)
    known = status in ("queued", "running")
    return Found(Fate.GOES_ON if known else Fate.UNKNOWN, handle.run)


def _after_restart(handle: Handle, traces: Traces) -> Found:
    row = traces.row or {}
    if end := _row_end(handle, traces):
        return Found(Fate.ENDED, handle.run, end)
    if row.get("status") != "running":
        resumed = _resumed(handle, traces)
        if resumed is not None and resumed.get("status") in _TASK_ENDS:
            return Found(Fate.ENDED, str(resumed["runId"]), _TASK_ENDS[str(resumed["status"])],
                         str(resumed.get("error") or ""))  # fmt: skip
        return Found(Fate.GONE)
    if row.get("abortedLastRun") is not True:
        resumed = _resumed(handle, traces)
        if resumed is not None and resumed.get("status") in ("queued", "running"):
            return Found(Fate.GOES_ON, str(resumed["runId"]))
    return Found(Fate.PENDING if traces.watched < WATCH_S else Fate.GONE)


def _row_end(handle: Handle, traces: Traces) -> str:
    """How the session's row says that our run ended; "" if it does not."""
    row = traces.row or {}
    return _ROW_ENDS.get(str(row.get("status")), "") if row.get("lastRunId") == handle.run else ""


def _resumed(handle: Handle, traces: Traces) -> Mapping[str, Any] | None:
    """The newest task of the session that came after ours; None where ours is not told of, as
    then the newest may be one that came before it.
    """
    runs = [str(task.get("runId") or "") for task in traces.tasks]
    if handle.run not in runs:
        return None
    later = traces.tasks[: runs.index(handle.run)]
    return next((task for task in later if task.get("runId")), None)


def is_recovering(traces: Traces) -> bool:
    """Whether a run that is sent now would come between the Gateway and its own recovery of the
    session.
    """
    row = traces.row or {}
    return row.get("status") == "running" and traces.watched < WATCH_S
