"""The shape of what ``raftsup status --json`` prints. Times are Unix seconds."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from raftsup.supervisor.reload import ConfigState


class Program(TypedDict):
    """The supervisor or the dispatcher."""

    state: str
    pid: int | None
    #: "" where all is well.
    reason: str
    #: Deaths that nobody asked for, since the host began; the dispatcher's alone.
    restarts: NotRequired[int]


class Endpoint(TypedDict):
    url: str | None
    #: The worker's.
    pid: int | None
    restarts: int


class Bridge(TypedDict):
    state: str
    pid: int | None
    restarts: int
    lastExit: str | None
    lastError: str | None
    heardAt: float | None
    #: Seconds since it said anything.
    heardAgo: float | None
    #: Until when it counts as well though it connects; None: it does not.
    graceUntil: float | None
    #: Where the Raft CLI keeps its log.
    log: str | None


class Wakes(TypedDict):
    accepted: int
    duplicates: int
    rejected: int
    lastAt: float | None


class LastTurn(TypedDict):
    """The turn that runs, else the one that ended last; ``at``: since when it is what it is."""

    turn: int
    state: str
    at: float


class Turns(TypedDict):
    queued: int
    running: int
    done: int
    failed: int
    #: Those that failed and were neither retried nor dismissed: somebody waits for them.
    unanswered: list[int]
    last: LastTurn | None


class ProbeStep(TypedDict):
    """A step of ``--probe``; ``good`` is None where there was nothing to try."""

    check: str
    good: bool | None
    text: str
    brief: str


class AccountStatus(TypedDict):
    account: str
    profile: str | None
    #: Its kind; None for a running host, whose roster has no agents.
    agent: str | None
    #: ``account_state.AccountState``.
    state: str
    reason: str
    endpoint: Endpoint
    bridge: Bridge
    wakes: Wakes
    turns: Turns
    probe: NotRequired[list[ProbeStep]]


class Removed(TypedDict):
    """An account that the config has no more, and that turns are still owed to."""

    account: str
    queued: int
    running: int


class LedgerStatus(TypedDict):
    #: Why it cannot be read; "": it can.
    reason: str


class RaftPlace(TypedDict):
    #: How this shell's Raft folder differs from the host's; "": it does not.
    reason: str


class Status(TypedDict):
    version: str
    stateDir: str
    supervisor: Program
    dispatcher: Program
    ledger: LedgerStatus
    #: How the running config stands to its file; None where no parent of ours answers.
    config: ConfigState | None
    #: "host": one runs here; "config": none does, and this is what the file says.
    source: str
    at: float
    accounts: list[AccountStatus]
    removed: list[Removed]
    raft: NotRequired[RaftPlace]
    #: ``--deep``: what else of raftsup is on this machine.
    others: NotRequired[list[dict[str, Any]]]
