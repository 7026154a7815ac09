"""The life of a bridge: a table of states and events, and pure functions over it.

``TRANSITIONS`` is the whole of it: a move that the table does not have raises ``IllegalMove`` and
changes nothing. ``bridge.py`` carries it out.

::

    stopped | waiting | missing | blocked --START--> connecting
    connecting ---PASS--> listening      the first chunk of Raft's stream has come
    listening ---RETRY--> degraded       the CLI lost its server, and tries again by itself
    listening ---FATAL--> degraded       the CLI gave up: it reports that, then ends
    any of these -PASS--> listening      also after a retry: the CLI says nothing else of its end
    any of these -REVOKE-> revoked       Raft refuses what it asks beside its stream, which lives on
    revoked ---ACCEPT--> listening       Raft takes it again
    any of these -SILENCE-> silent       nothing heard for too long: deaf, whatever lives there
    any running one -EXIT-> waiting      the next start is due after a delay

Only ``listening`` is healthy: a process that merely exists is not (Hermes #59046). Between its
start and the first chunk, which Raft sends as soon as it answers, the CLI says nothing; after that
it says ``starting`` and its end state again at each pass. Source of the CLI's words:
RAFT_PROTOCOL, "What it says, and when".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from raftsup import raft_errors
from raftsup.backoff import Backoff
from raftsup.errors import RaftsupError
from raftsup.raft_errors import Who
from raftsup.terminal import moment


class BridgeState(StrEnum):
    STOPPED = "stopped"  # not wanted: before the start, or the worker stops
    CONNECTING = "connecting"  # the process runs and has not been heard of Raft yet
    LISTENING = "listening"  # healthy
    DEGRADED = "degraded"  # runs, lost its server and tries again by itself, or is about to end
    SILENT = "silent"  # runs, and says nothing
    REVOKED = "revoked"  # runs, its credential is refused
    WAITING = "waiting"  # ended; the next start is due after a delay
    MISSING = "missing"  # the CLI cannot be started
    BLOCKED = "blocked"  # another bridge has the profile, or may have it


class Event(StrEnum):
    START = "start"
    PASS = "pass"  # noqa: S105 - the end of a good pass: a chunk of the stream, or a poll
    RETRY = "retry"  # a pass failed, and the CLI tries again
    FATAL = "fatal"  # the CLI gave up, and ends once it has reported that to Raft
    REVOKE = "revoke"  # the credential is refused, and the CLI stays
    ACCEPT = "accept"  # a request beside the stream was taken
    SILENCE = "silence"  # nothing was said for too long
    SPEECH = "speech"  # after that, something that says nothing of its standing
    EXIT = "exit"
    CANNOT_START = "cannot_start"
    LOCKED_OUT = "locked_out"
    STOP = "stop"


RUNNING = (
    BridgeState.CONNECTING,
    BridgeState.LISTENING,
    BridgeState.DEGRADED,
    BridgeState.SILENT,
    BridgeState.REVOKED,
)
DOWN = (
    BridgeState.STOPPED,
    BridgeState.WAITING,
    BridgeState.MISSING,
    BridgeState.BLOCKED,
)

TRANSITIONS: dict[tuple[BridgeState, Event], BridgeState] = {
    **{(state, Event.START): BridgeState.CONNECTING for state in DOWN},
    **{(state, Event.CANNOT_START): BridgeState.MISSING for state in DOWN},
    **{(state, Event.PASS): BridgeState.LISTENING for state in RUNNING},
    # A stream that was opened before goes on as if nothing was.
    (BridgeState.REVOKED, Event.PASS): BridgeState.REVOKED,
    (BridgeState.REVOKED, Event.ACCEPT): BridgeState.LISTENING,
    **{(state, Event.RETRY): BridgeState.DEGRADED for state in RUNNING},
    **{(state, Event.FATAL): BridgeState.DEGRADED for state in RUNNING},
    **{(state, Event.REVOKE): BridgeState.REVOKED for state in RUNNING},
    **{(state, Event.SILENCE): BridgeState.SILENT for state in RUNNING},
    (BridgeState.SILENT, Event.SPEECH): BridgeState.CONNECTING,
    **{(state, Event.EXIT): BridgeState.WAITING for state in RUNNING},
    (BridgeState.WAITING, Event.LOCKED_OUT): BridgeState.BLOCKED,
    **{(state, Event.STOP): BridgeState.STOPPED for state in BridgeState},
}

#: What the CLI's ``agent_comms.lifecycle`` states are here. ``starting`` and
#: ``connected_replaying`` come again within a pass and say nothing; the last two are of other
#: versions than are known.
LIFECYCLE: dict[str, Event] = {
    "listening_idle": Event.PASS,
    "handoff_pending": Event.PASS,
    "degraded_backoff": Event.RETRY,
    "auth_revoked": Event.REVOKE,
}

CONNECTING = (
    "the bridge is connecting: the Raft CLI says nothing before Raft answers, usually within"
    " seconds"
)


@dataclass(frozen=True)
class Timings:
    """Seconds."""

    #: Silence after which a bridge counts as deaf: a healthy one speaks every 25 s.
    silence: float = 90.0
    #: Silence after which it is restarted.
    restart: float = 180.0
    #: A bridge that listened for so long has proved itself: its next death is the first.
    healthy: float = 10.0
    #: Most deaths pass; what only a person can fix is tried slowly, and for ever.
    quick: Backoff = field(default_factory=lambda: Backoff(base=0.5, cap=60.0))
    slow: Backoff = field(default_factory=lambda: Backoff(base=5.0, cap=300.0))
    #: Between the polite end and the hard one. The CLI ends within 10 ms.
    term_grace: float = 2.0
    #: Between two looks at a credential that somebody may be fixing.
    look: float = 2.0


class IllegalMove(RaftsupError):
    """A bridge cannot make this move from the state it is in."""

    def __init__(self, state: BridgeState, event: Event) -> None:
        super().__init__(f"a bridge that is {state} cannot {event}")


@dataclass(frozen=True)
class Life:
    """Times are Unix seconds; 0.0 means never."""

    state: BridgeState = BridgeState.STOPPED
    #: For people, beside any state but listening.
    reason: str = "not started yet"
    pid: int | None = None
    #: Starts after the first of each worker, since the host began.
    restarts: int = 0
    #: Deaths in a row since it listened for ``Timings.healthy``.
    failures: int = 0
    last_exit: str | None = None
    #: The last lines it said before it ended, or why it could not start.
    last_error: str | None = None
    #: When the process was started.
    since: float = 0.0
    #: Since when it has been listening; 0.0 if it is not.
    listening_since: float = 0.0
    #: Seconds of this run's longest healthy spell that is over.
    spell: float = 0.0
    #: When it was last known to listen; kept over restarts.
    listened_at: float = 0.0
    #: When it last said anything.
    heard_at: float = 0.0
    #: Starts made.
    starts: int = 0
    #: The last error that it named in this run: code and message.
    fatal: tuple[str, str] | None = None

    @property
    def healthy(self) -> bool:
        return self.state is BridgeState.LISTENING


def advance(state: BridgeState, event: Event) -> BridgeState:
    """The state after ``event``. Raises ``IllegalMove`` where the table has no such move."""
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise IllegalMove(state, event)
    return after


def started(life: Life, pid: int, now: float) -> Life:
    return replace(
        life,
        state=advance(life.state, Event.START),
        reason=CONNECTING,
        pid=pid,
        starts=life.starts + 1,
        restarts=life.restarts + (life.starts > 0),
        since=now,
        heard_at=now,
        listening_since=0.0,
        spell=0.0,
        fatal=None,
    )


def proven(life: Life, now: float, timings: Timings) -> Life:
    """Its deaths forgotten, once it has listened for ``Timings.healthy`` in this run."""
    return replace(life, failures=0) if _longest_spell(life, now) >= timings.healthy else life


def said(life: Life, raw: Mapping[str, Any], now: float, timings: Timings) -> Life:
    """After one JSON event of the bridge's. Unknown events change nothing but that it spoke."""
    if life.pid is None:
        return life
    # Now and not at its end: many ends are asked for, and of a killed worker none is seen.
    heard = proven(replace(life, heard_at=now), now, timings)
    kind = raw.get("type", raw.get("event"))
    if kind == "bridge_fatal" and isinstance(raw.get("errorCode"), str):
        fatal = (raw["errorCode"], str(raw.get("message") or ""))
        return replace(_moved(heard, Event.FATAL, _fatal_reason(*fatal), now), fatal=fatal)
    if kind == "bridge_retry":
        return _moved(heard, Event.RETRY, _retry_reason(raw), now)
    if kind == "bridge_recovered":
        return _moved(heard, Event.PASS, "", now)
    if (refused := _refused(raw)) is not None:
        return _moved(heard, Event.REVOKE, _refused_reason(refused), now)
    if life.state is BridgeState.REVOKED and (kind in _PEEKS or raw.get("outcome") == "forwarded"):
        return _moved(heard, Event.ACCEPT, "", now)
    # The lifecycle's word stands in ``state``, whatever other fields a version adds.
    word = raw.get("state")
    event = LIFECYCLE.get(word) if isinstance(word, str) else None
    # A handoff carries a lifecycle's word too, in the middle of a pass.
    if event is None or kind == "agent_comms.handoff":
        return spoke(heard, now)
    return _moved(heard, event, _FOREIGN.get(event, "").format(word=word), now)


_FOREIGN = {
    Event.RETRY: "the bridge says {word}: it cannot reach Raft, and tries again by itself",
    Event.REVOKE: "the bridge says {word}: its profile must be signed in again",
}


#: What tells of a reconciliation that Raft answered.
_PEEKS = ("reconcile_peek", "fast_reconcile_peek")


def _refused(raw: Mapping[str, Any]) -> str | None:
    """Raft's words, where it refused a reconciliation or what was drained; else None. An open
    stream outlives its credential, and says nothing of it [commands/agent/bridge.ts].
    """
    match raw.get("type"), raw.get("outcome"):
        case "reconcile_failed", _:
            message = raw.get("message")
        # Without a count it is our own endpoint that failed.
        case "agent_comms.activity_drain", "failed" if raw.get("drainedCount"):
            message = raw.get("errorMessage")
        case _:
            return None
    return message if isinstance(message, str) and raft_errors.is_refusal(message) else None


def _refused_reason(message: str) -> str:
    return (
        f'Raft refuses the bridge\'s credential ("{raft_errors.plain(message)}"): what its open'
        " stream brings still comes, and the agent can neither read nor answer; sign the profile in"
        " again (`raftsup doctor` has the command)"
    )


def spoke(life: Life, now: float) -> Life:
    """After a word that says nothing of its standing, on either stream."""
    if life.pid is None:
        return life
    heard = replace(life, heard_at=now)
    if (life.state, Event.SPEECH) not in TRANSITIONS:
        return heard
    return replace(heard, state=advance(life.state, Event.SPEECH), reason=CONNECTING)


def _moved(life: Life, event: Event, reason: str, now: float) -> Life:
    state = advance(life.state, event)
    listening = state is BridgeState.LISTENING
    return replace(
        life,
        state=state,
        reason=life.reason if event is Event.PASS and not listening else reason,
        # Each pass says it again: the spell is the same.
        listening_since=(life.listening_since or now) if listening else 0.0,
        spell=life.spell if listening else _longest_spell(life, now),
        listened_at=now if listening else life.listened_at,
    )


def _longest_spell(life: Life, now: float) -> float:
    running = now - life.listening_since if life.listening_since else 0.0
    return max(life.spell, running)


def _fatal_reason(code: str, message: str) -> str:
    # Its end says what to do. Raft may take as long as it likes to answer the report of it.
    told = raft_errors.plain(": ".join(filter(None, (code, message))))
    return f"the bridge gave up ({told}) and is about to end"


def _retry_reason(raw: Mapping[str, Any]) -> str:
    code, message = str(raw.get("errorCode") or ""), str(raw.get("message") or "")
    told = raft_errors.plain(": ".join(filter(None, (code, message)))) or "no reason given"
    count, delay = raw.get("consecutiveFailures"), raw.get("delayMs")
    words = f"the bridge lost Raft ({told}) and tries again by itself"
    if isinstance(count, int):
        words += f": failure {count} in a row"
    if isinstance(delay, int | float):
        words += f", next try after {delay / 1000:g} s"
    return words


def silent(life: Life, account: str, now: float, timings: Timings) -> Life:
    """After ``Timings.silence`` without a word. ``account``: whose bridge it is."""
    return replace(
        life,
        state=advance(life.state, Event.SILENCE),
        reason=(
            f"the bridge has said nothing since {moment(life.heard_at)}, a healthy one speaks every"
            f" 25 s; after {timings.restart:g} s of silence it is restarted by itself,"
            f" `raftsup ctl restart accounts:{account}` does it now"
        ),
        spell=_longest_spell(life, now),
        listening_since=0.0,
    )


def ended(
    life: Life,
    *,
    exit_text: str,
    stderr: str,
    who: Who,
    now: float,
    random: float,
    timings: Timings,
    killed: str = "",
) -> tuple[Life, float]:
    """After the process is gone: the new life and the delay, in seconds, to its next start.
    ``killed``: why it was ended by us.
    """
    failures = proven(life, now, timings).failures + 1
    printed = raft_errors.parse(stderr)
    code, message = life.fatal or (printed.code, printed.message)
    message = printed.message or raft_errors.plain(message)
    if raft_errors.known(code, message) is None and printed.code:
        code = printed.code  # of an error within the CLI its event names the class
    found = raft_errors.known(code, message)
    delay = (timings.slow if found and found.lasting else timings.quick).delay(failures, random)
    means, fix = raft_errors.advice(code, who, message)
    if not found:
        fix = "`raftsup logs` has its last words" if stderr else ""
    what = f"bridge {exit_text}" + (f" ({code})" if code else "")
    quoted = f'"{message}"' if message else ""
    next_start = f"next start at {moment(now + delay)}"
    if found and found.credential:
        next_start += ", or as soon as the profile is signed in"
    return (
        replace(
            life,
            state=advance(life.state, Event.EXIT),
            reason="; ".join(filter(None, (killed, what, quoted, means, fix, next_start))),
            pid=None,
            failures=failures,
            last_exit=exit_text,
            last_error=stderr or life.last_error,
            listening_since=0.0,
            fatal=(code, message) if code else None,
        ),
        delay,
    )


def awaits_credential(life: Life) -> bool:
    """Whether a new credential may end what keeps the bridge from running, or from being of use."""
    if life.state is BridgeState.REVOKED:
        return True
    found = raft_errors.known(*life.fatal) if life.fatal else None
    return life.state is BridgeState.WAITING and found is not None and found.credential


def not_started(
    life: Life, why: str, now: float, random: float, timings: Timings
) -> tuple[Life, float]:
    """After a start that the system refused: mostly the CLI is not installed."""
    failures = life.failures + 1
    delay = timings.slow.delay(failures, random)
    reason = (
        f"the Raft CLI cannot be started ({why}); install it (npm i -g @botiverse/raft), check"
        f" with `raft --help` that the PATH of this host has it; next try at {moment(now + delay)}"
    )
    return (
        replace(
            life,
            state=advance(life.state, Event.CANNOT_START),
            reason=reason,
            pid=None,
            failures=failures,
            last_error=why,
            listening_since=0.0,
            fatal=None,
        ),
        delay,
    )


def locked_out(life: Life, why: str, due: float) -> Life:
    """After a start that another bridge of the profile prevented; ``due``: the next."""
    state = advance(life.state, Event.LOCKED_OUT)
    return replace(life, state=state, reason=f"{why}; next try at {moment(due)}")


def unlocked(life: Life, why: str) -> Life:
    """After a stale lock was removed that had kept the bridge from starting."""
    return replace(life, reason=f"a stale bridge.lock was removed ({why}); it starts again")


def stopped(life: Life, now: float, timings: Timings) -> Life:
    return replace(
        proven(life, now, timings),
        state=advance(life.state, Event.STOP),
        reason="the worker stops",
        pid=None,
        listening_since=0.0,
    )
