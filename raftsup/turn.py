"""A turn: one run of an account's agent, owed to one accepted wake.

The life of a turn is the table ``TRANSITIONS``. ``advance`` is the only way from one state to
the next; a move that the table does not have raises and changes nothing. The ledger applies it
inside a transaction, so no process ever holds a turn in a state of its own.

::

    queued --CLAIM--> running --SUCCEED--> done
      ^                  |------FAIL-----> failed      (attempts used up)
      |                  |----TIME_OUT---> timed_out   (attempts used up by overrunning)
      |                  |-----CANCEL----> cancelled
      |---RETRY / INTERRUPT / POSTPONE--|
    queued --CANCEL--> cancelled
    failed | timed_out | cancelled --REOPEN--> queued  (an operator's word, never by itself)
    failed | timed_out --DISMISS--> cancelled          (nobody waits for it any more)
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from raftsup.errors import RaftsupError


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class Event(StrEnum):
    CLAIM = "claim"  # the dispatcher begins the next attempt
    SUCCEED = "succeed"
    RETRY = "retry"  # the attempt failed, another is left
    FAIL = "fail"  # the attempt failed, none is left
    TIME_OUT = "time_out"  # the attempt overran, none is left
    CANCEL = "cancel"
    INTERRUPT = "interrupt"  # the host went down under it: not the turn's failure
    POSTPONE = "postpone"  # the host could not run it now: not the turn's failure either
    REOPEN = "reopen"  # an operator runs an ended turn again
    DISMISS = "dismiss"  # an operator lets a failed turn be, or its wake is owed to a newer one


ENDED = frozenset({State.DONE, State.FAILED, State.TIMED_OUT, State.CANCELLED})
#: Ended without an answer: somebody waits until it is retried, dismissed or owed anew.
UNANSWERED = frozenset({State.FAILED, State.TIMED_OUT})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.QUEUED, Event.CLAIM): State.RUNNING,
    (State.QUEUED, Event.CANCEL): State.CANCELLED,
    (State.RUNNING, Event.SUCCEED): State.DONE,
    (State.RUNNING, Event.RETRY): State.QUEUED,
    (State.RUNNING, Event.FAIL): State.FAILED,
    (State.RUNNING, Event.TIME_OUT): State.TIMED_OUT,
    (State.RUNNING, Event.CANCEL): State.CANCELLED,
    (State.RUNNING, Event.INTERRUPT): State.QUEUED,
    (State.RUNNING, Event.POSTPONE): State.QUEUED,
    (State.FAILED, Event.REOPEN): State.QUEUED,
    (State.TIMED_OUT, Event.REOPEN): State.QUEUED,
    (State.CANCELLED, Event.REOPEN): State.QUEUED,
    (State.FAILED, Event.DISMISS): State.CANCELLED,
    (State.TIMED_OUT, Event.DISMISS): State.CANCELLED,
}

#: A turn that was under way each time the host went down this often is taken for the cause.
MAX_INTERRUPTIONS = 20


class IllegalMove(RaftsupError):
    """A turn cannot make this move from the state it is in."""

    def __init__(self, turn: Turn, event: Event) -> None:
        super().__init__(f"turn {turn.id} is {turn.state}: it cannot {event}")
        self.turn = turn
        self.event = event


@dataclass(frozen=True)
class Turn:
    """One owed, running or ended turn. Times are Unix seconds; 0.0 means not yet."""

    id: int
    account: str
    state: State = State.QUEUED
    #: What the turn is owed to. Only wakes owe turns today.
    source: str = "wake"
    #: Attempts begun. The running attempt's number while running.
    attempt: int = 0
    #: Attempts that failed or overran.
    failures: int = 0
    #: Attempts that ended because the host went down.
    interruptions: int = 0
    owed_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    #: Why the last attempt did not succeed, for people. Never message content.
    reason: str = ""
    #: What the runner needs to find the running attempt's run again; "" if it dies with us.
    handle: str = ""


@dataclass(frozen=True)
class LaneHealth:
    """How a lane has been doing: failed attempts in a row, and the pause they earned."""

    failures: int = 0
    #: Unix seconds before which the lane starts nothing.
    not_before: float = 0.0
    #: An operator's word; holds until they take it back, also across restarts.
    paused: bool = False


def advance(turn: Turn, event: Event, now: float, reason: str = "") -> Turn:
    """The turn after ``event``. Raises ``IllegalMove`` where the table has no such move."""
    state = TRANSITIONS.get((turn.state, event))
    if state is None:
        raise IllegalMove(turn, event)
    failed = event in (Event.RETRY, Event.FAIL, Event.TIME_OUT)
    moved = replace(
        turn,
        state=state,
        handle="",
        failures=turn.failures + failed,
        interruptions=turn.interruptions + (event is Event.INTERRUPT),
        ended_at=(turn.ended_at or now) if state in ENDED else 0.0,
        reason="" if event is Event.SUCCEED else (reason or turn.reason),
    )
    if event is Event.CLAIM:
        return replace(moved, attempt=turn.attempt + 1, started_at=now)
    if event is Event.REOPEN:
        # The operator grants a fresh set of attempts; the attempt number goes on, so that
        # each attempt keeps a transcript of its own.
        return replace(moved, failures=0, interruptions=0)
    return moved


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended, as its runner tells it."""

    kind: OutcomeKind
    reason: str = ""


class OutcomeKind(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    POSTPONED = "postponed"  # no room on disk, no process to be had: the host's trouble
    #: The run goes on elsewhere and its handle is kept: the next dispatcher takes it up.
    LEFT_RUNNING = "left_running"


def judge(turn: Turn, outcome: Outcome, attempts: int) -> Event:
    """What an attempt's outcome means for its turn, with ``attempts`` allowed in all."""
    match outcome.kind:
        case OutcomeKind.SUCCEEDED:
            return Event.SUCCEED
        case OutcomeKind.CANCELLED:
            return Event.CANCEL
        case OutcomeKind.POSTPONED:
            return Event.POSTPONE
        case OutcomeKind.INTERRUPTED:
            last = turn.interruptions + 1 >= MAX_INTERRUPTIONS
            return Event.FAIL if last else Event.INTERRUPT
        case OutcomeKind.FAILED | OutcomeKind.TIMED_OUT if turn.failures + 1 < attempts:
            return Event.RETRY
        case OutcomeKind.TIMED_OUT:
            return Event.TIME_OUT
    return Event.FAIL


#: ``manual get`` refuses to run without the two [commands/knowledge/get.ts, context.ts: 12 to 500
#: characters each].
_MANUAL = (
    "manual get raft-cli-overview --intent 'Answer the messages in Raft'"
    " --reason 'Need the CLI commands for this turn'"
)


def notice(raft: Sequence[str], profile: str) -> str:
    """What the agent is told: that there is something to read, and the commands for it.

    Nothing in it came off the wire. ``raft`` is the Raft CLI's argv prefix. A turn that takes a
    held send for a sent one has answered nobody, and what the CLI prints about it names neither
    this prefix nor the profile; what ``check`` gave counts as not read there [commands/message/
    send.ts, commands/freshness/_format.ts; the server's routes/internalAgentApi.ts].
    """
    cli = shlex.join([*raft, "--profile", profile])
    return (
        "Raft woke you: messages may be waiting for you.\n"
        f"Read them:  {cli} message check\n"
        f"Look back:  {cli} message read --target <where it was said>"
        "   (before you answer there: a reply to what you have not read is held back)\n"
        f"Reply:      {cli} message send --target <channel or person>"
        "   (the text goes to standard input)\n"
        "If it fails with SEND_HELD_AS_DRAFT nothing was sent: look at what it prints first, then"
        f" do what it says, with `{cli}` for `raft`.\n"
        f"Manual:     {cli} {_MANUAL}\n"
        "What you print here is not sent to anyone: reply with the command, and finish when"
        " nothing is left to answer.\n"
    )
