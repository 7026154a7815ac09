"""The bridge's timers, in seconds: the true CLI's as defaults, ``RAFT_SIM_*`` to shorten them.

The server has one of its own, the interval of its ``: ka`` comments (``raftsup sim --keepalive``).
Source: RAFT_PROTOCOL, "What it says, and when" [commands/agent/bridge.ts].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from raftsup.sim.wire import PATIENCE


class BadTimer(Exception):
    """A ``RAFT_SIM_*`` variable is no positive number."""


class Timers(NamedTuple):
    #: Between two polls, and the first wait after a failed pass. (RAFT_SIM_POLL)
    poll: float = 5.0
    #: That wait doubles up to this. (RAFT_SIM_RETRY_CAP)
    retry_cap: float = 60.0
    #: All that is pending is sent again so often. (RAFT_SIM_RECONCILE)
    reconcile: float = 120.0
    #: The first pass so long after a handoff sends all that is pending. (RAFT_SIM_FAST_RECONCILE)
    fast_reconcile: float = 3.0
    #: A regular reconcile leaves out what was injected so short a time ago. (RAFT_SIM_GRACE)
    grace: float = 30.0
    #: A stream silent for so long is lost. (RAFT_SIM_IDLE)
    idle: float = 60.0
    #: The HTTP client's own deadline, of each request. (RAFT_SIM_HTTP_TIMEOUT)
    http_timeout: float = PATIENCE
    #: (RAFT_SIM_DRAIN_TIMEOUT)
    drain_timeout: float = 3.0


#: For demonstrations: what takes the true bridge seconds takes this one tenths. With a server that
#: says ``: ka`` every ``SHORT_KEEPALIVE`` seconds, where the true one does every 25.
SHORT = {
    "RAFT_SIM_POLL": "0.3",
    "RAFT_SIM_FAST_RECONCILE": "0.3",
    "RAFT_SIM_RECONCILE": "10",
    "RAFT_SIM_GRACE": "3",
    "RAFT_SIM_IDLE": "5",
}
SHORT_KEEPALIVE = 0.5


def from_environ(environ: Mapping[str, str]) -> Timers:
    """Raises ``BadTimer``."""
    chosen = {}
    for name in Timers._fields:
        variable = f"RAFT_SIM_{name.upper()}"
        if text := environ.get(variable):
            try:
                chosen[name] = float(text)
            except ValueError as error:
                raise BadTimer(f"{variable}={text} is no number of seconds") from error
            if not chosen[name] > 0:
                raise BadTimer(f"{variable}={text} must be more than 0")
    return Timers(**chosen)


def retry_delay(failures: int, timers: Timers) -> float:
    """The wait after failed pass ``failures`` (1, 2, …): 5, 10, 20, 40, 60, 60 s by default."""
    return float(min(timers.retry_cap, timers.poll * 2.0 ** min(failures - 1, 10)))
