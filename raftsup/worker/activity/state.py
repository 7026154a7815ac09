"""What Raft is told while a turn runs: the dot next to the agent's name, and which tools it uses.

From the dispatcher's events to ``raft-activity.v1``, as a table and pure functions. Nothing of
it is content: a status, a hook's name, a tool's name, a duration, and sentences of our own.

Sources. RAFT_PROTOCOL, "GET /activity/drain". Raft's page on external agents, "Reporting status
(raft-agent-status.v1)": the status is the agent's state *after* the event, the newest by
``occurredAt`` wins, ``detail`` shows with ``working`` and ``error``, an ``eventId`` counts once;
from an agent's first status on, its hooks are logged but move its dot no more, so every event
here carries one. The names of hooks are those of the shared types of Raft's server and CLI.

What reaches Raft of it [agentCommsCore/bridge.ts, 0.0.24]. The bridge throws an event without
``hookEventName`` away and passes on ``eventId``, ``sessionId``, ``hookEventName``, ``toolName``,
``status``, ``errorClass``, ``occurredAt`` and a ``durationMs`` above 0. **Nothing of** ``detail``:
with this CLI the word that tells why is ``errorClass``, so each end that is not well has one.
``detail`` is handed over all the same, for CLIs that carry it; it is dropped without harm.

=========================  =====================  ==================================
what the dispatcher says   ``hookEventName``      ``status``, if nothing else runs
=========================  =====================  ==================================
a first or renewed look    ``SessionStart``       ``online``, or what runs
``turn.started``           ``UserPromptSubmit``   ``thinking``
step ``tool_started``      ``PreToolUse``         ``working``
step ``tool_ended``        ``PostToolUse``        ``thinking``
the same, failed           ``PostToolUseFailure`` ``thinking``: the agent goes on
step ``thinking``          ``PostToolBatch``      ``thinking``; told after tools only
the end of an attempt      ``Stop``               see ``ENDS``
=========================  =====================  ==================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from raftsup.hook_token import Run

#: Of more open tools than these the oldest are forgotten: an agent may never tell an end.
_MOST_TOOLS = 64


@dataclass(frozen=True)
class End:
    """What the end of an attempt means for the dot. ``detail`` may name ``{turn}``."""

    status: str
    error_class: str = ""
    detail: str = ""


_CANCELLED = "turn.cancelled"

ENDS: Mapping[str, End] = MappingProxyType(
    {
        "turn.done": End("online"),
        # As Hermes' adapter tells a session that was interrupted: ``Stop``, error, interrupted.
        _CANCELLED: End("error", "interrupted", "turn {turn} was cancelled"),
        # The host went down under it.
        "turn.interrupt": End(
            "error", "interrupted", "turn {turn} was interrupted and is run again"
        ),
        "turn.retry": End("error", "attempt_failed", "turn {turn} failed and is tried again"),
        "turn.postpone": End("error", "postponed", "turn {turn} could not run and is tried again"),
        "turn.failed": End(
            "error", "failed", "turn {turn} failed: `raftsup turn show {turn}` on the agent's host"
        ),
        "turn.timed_out": End(
            "error",
            "timed_out",
            "turn {turn} took too long: `raftsup turn show {turn}` on the agent's host",
        ),
    }
)
_DOWN = End("error", "dispatcher_down", "no turn can run: see `raftsup status` on the agent's host")


@dataclass(frozen=True)
class Heard:
    """One event of the dispatcher's about this account. ``at`` is in Unix seconds."""

    name: str
    run: Run
    at: float
    kind: str = ""
    tool: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Told:
    """What Raft is to be told, before it has an id. ``at`` in Unix seconds, ``took`` in seconds."""

    hook: str
    status: str
    at: float
    tool: str = ""
    took: float | None = None
    error_class: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Tool:
    run: Run
    name: str
    since: float


@dataclass(frozen=True)
class Dot:
    """What Raft believes of the agent, if it heard all that was told."""

    #: "" where it may believe anything: the next look is told, whatever it finds.
    status: str = ""
    #: What runs, and since when.
    runs: Mapping[Run, float] = field(default_factory=lambda: MappingProxyType({}))
    #: Open tools of these runs, the oldest first.
    tools: tuple[Tool, ...] = ()


Next = tuple[Dot, Told | None]


def follow(dot: Dot, heard: Heard) -> Next:
    """The dot after an event, and what is to be told of it."""
    if heard.name == "turn.started":
        after = _busy(replace(dot, runs={**dot.runs, heard.run: heard.at}))
        return after, Told("UserPromptSubmit", after.status, heard.at)
    if heard.name == "turn.step" and heard.run in dot.runs:
        return _step(dot, heard)
    if heard.name in ENDS:
        return _ended(dot, heard, ENDS[heard.name])
    return dot, None


def look(dot: Dot, runs: Mapping[Run, float], at: float) -> Next:
    """The dot after a look at all that runs: what was missed meanwhile is made good."""
    # Which tools are open nobody knows; the next step tells.
    idle = dot.status if dot.status and not dot.runs else "online"
    after = _busy(Dot(idle, dict(runs)))
    if after.status == dot.status and runs.keys() == dot.runs.keys():
        return after, None
    if not dot.status:
        hook = "SessionStart"
    elif runs.keys() - dot.runs.keys():
        hook = "UserPromptSubmit"
    else:
        hook = "PostToolBatch" if runs else "Stop"
    return after, Told(hook, after.status, at)


def lost(dot: Dot, at: float) -> Next:
    """The dot when the dispatcher does not come back: what ran there does not run."""
    if not dot.runs:
        return dot, None
    return Dot(), Told("Stop", _DOWN.status, at, error_class=_DOWN.error_class, detail=_DOWN.detail)


def _step(dot: Dot, heard: Heard) -> Next:
    match heard.kind:
        case "thinking":
            kept = tuple(tool for tool in dot.tools if tool.run != heard.run)
            after = _busy(replace(dot, tools=kept))
            # An agent thinks in many small pieces: only a change is news.
            told = Told("PostToolBatch", after.status, heard.at)
            return after, told if after.status != dot.status else None
        case "tool_started":
            tools = (*dot.tools, Tool(heard.run, heard.tool, heard.at))[-_MOST_TOOLS:]
            after = _busy(replace(dot, tools=tools))
            return after, Told(
                "PreToolUse", after.status, heard.at, tool=heard.tool, detail=heard.tool
            )
        case "tool_ended":
            return _tool_ended(dot, heard)
    return dot, None


def _tool_ended(dot: Dot, heard: Heard) -> Next:
    mine = [tool for tool in dot.tools if tool.run == heard.run]
    # Where the end does not say of which tool, it is the oldest's: a run's last end closes all.
    ended = next((tool for tool in mine if tool.name == heard.tool), mine[0] if mine else None)
    tools = list(dot.tools)
    if ended is not None:
        tools.remove(ended)
    after = _busy(replace(dot, tools=tuple(tools)))
    return after, Told(
        "PostToolUseFailure" if heard.failed else "PostToolUse",
        after.status,
        heard.at,
        tool=heard.tool or (ended.name if ended else ""),
        took=heard.at - ended.since if ended else None,
        error_class="tool_failed" if heard.failed else "",
    )


def _ended(dot: Dot, heard: Heard, end: End) -> Next:
    since = dot.runs.get(heard.run)
    after = _busy(
        Dot(
            end.status,
            {run: at for run, at in dot.runs.items() if run != heard.run},
            tuple(tool for tool in dot.tools if tool.run != heard.run),
        )
    )
    if since is None and (heard.name == _CANCELLED or after.status == dot.status):
        return dot, None  # a turn that never began here: cancelled in its queue, say
    told = Told(
        "Stop",
        after.status,
        heard.at,
        took=None if since is None else heard.at - since,
        error_class=end.error_class,
        detail=end.detail.format(turn=heard.run[0]),
    )
    return after, told


def _busy(dot: Dot) -> Dot:
    """The dot with the status of what runs; where nothing does, with the one that it has."""
    if not dot.runs:
        return dot
    return replace(dot, status="working" if dot.tools else "thinking")
