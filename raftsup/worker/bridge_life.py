"""The life of a bridge, as a table and pure functions. ``bridge.py`` carries it out.

::

    stopped --start--> starting --lifecycle--> replaying | listening | degraded | revoked
       ^                  |                          |
       |                  '------- exit / cannot start / locked out ------.
       '-- stop                                                           v
                         start, when its delay is over <-- waiting | missing | blocked

Only ``listening`` is healthy: a process that merely exists is not (Hermes #59046).
Source of the CLI's words: RAFT_PROTOCOL, "Starting the bridge".
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from raftsup.backoff import Backoff


class BridgeState(StrEnum):
    STOPPED = "stopped"  # not wanted: before the start, or the worker stops
    STARTING = "starting"  # the process runs and has not said that it is connected
    REPLAYING = "replaying"  # connected, handing over what was missed
    LISTENING = "listening"  # healthy
    DEGRADED = "degraded"  # runs, lost its server and tries again by itself
    REVOKED = "revoked"  # runs, its credential is refused
    WAITING = "waiting"  # ended; the next start is due after a delay
    MISSING = "missing"  # the CLI cannot be started
    BLOCKED = "blocked"  # another living bridge has the profile


#: What the CLI's ``agent_comms.lifecycle`` states mean here.
LIFECYCLE: dict[str, BridgeState] = {
    "starting": BridgeState.STARTING,
    "connected_replaying": BridgeState.REPLAYING,
    "listening_idle": BridgeState.LISTENING,
    "handoff_pending": BridgeState.LISTENING,
    "degraded_backoff": BridgeState.DEGRADED,
    "auth_revoked": BridgeState.REVOKED,
}

#: What a person does about an error code of the CLI.
HINTS: dict[str, str] = {
    "BRIDGE_EXPECTED_AGENT_REQUIRED": "set this account's agentId (`raft --profile {profile} auth"
    " whoami` shows it)",
    "BRIDGE_IDENTITY_MISMATCH": "this account's agentId is not the agent behind its profile:"
    " compare it with `raft --profile {profile} auth whoami`",
    "BRIDGE_ALREADY_RUNNING": "stop the other bridge of profile {profile}",
    "PROFILE_MANAGED_CONTEXT_CONFLICT": "remove SLOCK_AGENT_*/RAFT_AGENT_* from the environment",
    "PROFILE_FILE_UNREADABLE": "sign in with `raft --profile {profile} auth login`",
    "AUTH_REVOKED": "sign in again with `raft --profile {profile} auth login`",
}

#: What a person may want to know of a lifecycle state besides its word.
_MEANS = {
    BridgeState.DEGRADED: ": it cannot reach Raft, and tries again by itself",
    BridgeState.REVOKED: ": its profile must be signed in again",
}

#: "Code: INTERNAL_BUG", a line of its own on standard error.
_CODE = re.compile(r"^\s*Code: ([A-Z][A-Z0-9_]{2,63})\s*$", re.MULTILINE)

#: Most deaths pass; what only a person can mend is tried slowly, and for ever.
QUICK = Backoff(base=0.5, cap=60.0)
SLOW = Backoff(base=5.0, cap=300.0)
_FOR_A_PERSON = frozenset(HINTS)
#: A bridge that listened for so many seconds has proved itself: its next death is the first.
HEALTHY = 10.0


@dataclass(frozen=True)
class Life:
    state: BridgeState = BridgeState.STOPPED
    #: For people, beside any state but listening.
    reason: str = "not started yet"
    pid: int | None = None
    #: Starts after the first.
    restarts: int = 0
    #: Deaths in a row without a healthy spell.
    failures: int = 0
    last_exit: str | None = None
    #: The last lines it said before it ended, or why it could not start.
    last_error: str | None = None
    #: Unix seconds since which it has been listening; 0.0 if it is not.
    listening_since: float = 0.0
    #: Starts made.
    starts: int = 0
    #: The last error code it named in this run.
    code: str | None = None

    @property
    def healthy(self) -> bool:
        return self.state is BridgeState.LISTENING


def started(life: Life, pid: int) -> Life:
    return replace(
        life,
        state=BridgeState.STARTING,
        reason="waiting for the bridge to connect",
        pid=pid,
        starts=life.starts + 1,
        restarts=life.starts,
        listening_since=0.0,
        code=None,
    )


def said(life: Life, event: Mapping[str, Any], now: float) -> Life:
    """After one JSON event of the bridge's. Unknown events change nothing."""
    if life.pid is None:
        return life
    code = event.get("errorCode")
    if event.get("type", event.get("event")) == "bridge_fatal" and isinstance(code, str):
        return replace(life, code=code)
    # The lifecycle's word stands in ``state``, whatever other fields a version adds.
    word = event.get("state")
    state = LIFECYCLE.get(word) if isinstance(word, str) else None
    if state is None or state is life.state:
        return life
    listening = state is BridgeState.LISTENING
    return replace(
        life,
        state=state,
        reason="" if listening else f"the bridge says {word}{_MEANS.get(state, '')}",
        listening_since=now if listening else 0.0,
    )


def ended(
    life: Life, *, exit_text: str, stderr: str, profile: str, now: float, random: float
) -> tuple[Life, float]:
    """After the process is gone: the new life and the delay, in seconds, to its next start."""
    proved = life.listening_since and now - life.listening_since >= HEALTHY
    failures = 1 if proved else life.failures + 1
    code = life.code or next((c for c in HINTS if c in stderr), None) or _code_in(stderr)
    delay = (SLOW if code in _FOR_A_PERSON else QUICK).delay(failures, random)
    words = "`raftsup logs` has its last words" if stderr else ""
    hint = HINTS.get(code or "", words).format(profile=profile)
    what = f"bridge {exit_text}" + (f" ({code})" if code else "")
    return (
        replace(
            life,
            state=BridgeState.WAITING,
            reason="; ".join(filter(None, (what, hint, f"next start {_at(now + delay)}"))),
            pid=None,
            failures=failures,
            last_exit=exit_text,
            last_error=stderr or life.last_error,
            listening_since=0.0,
        ),
        delay,
    )


def _code_in(stderr: str) -> str | None:
    """The code that the CLI gave people, of which there may be no event."""
    found = _CODE.findall(stderr)
    return found[-1] if found else None


def not_started(life: Life, why: str, now: float, random: float) -> tuple[Life, float]:
    """After a start that the system refused: mostly the CLI is not installed."""
    failures = life.failures + 1
    delay = SLOW.delay(failures, random)
    reason = (
        f"the Raft CLI cannot be started ({why}); install it (npm i -g @botiverse/raft), check"
        f" with `raft --help` that the PATH of this host has it; next try {_at(now + delay)}"
    )
    return (
        replace(
            life,
            state=BridgeState.MISSING,
            reason=reason,
            pid=None,
            failures=failures,
            last_error=why,
            listening_since=0.0,
        ),
        delay,
    )


def locked_out(life: Life, why: str, due: float) -> Life:
    """After a start that another living bridge of the profile prevented; ``due``: the next."""
    return replace(life, state=BridgeState.BLOCKED, reason=f"{why}; next try {_at(due)}")


def unlocked(life: Life, why: str) -> Life:
    """After a stale lock was removed that had kept the bridge from starting."""
    return replace(life, reason=f"a stale bridge.lock was removed ({why}); it starts again")


def stopped(life: Life) -> Life:
    return replace(
        life, state=BridgeState.STOPPED, reason="the worker stops", pid=None, listening_since=0.0
    )


def _at(moment: float) -> str:
    """A clock time: a text that says "in 40 s" is wrong a second later."""
    return time.strftime("at %H:%M:%S", time.localtime(moment))
