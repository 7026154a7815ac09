"""The bridge's timers, in seconds: the true CLI's as defaults, ``RAFT_SIM_*`` to shorten them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class BadTimer(Exception):
    """A ``RAFT_SIM_*`` variable is no positive number."""


class Timers(NamedTuple):
    #: Between two heartbeats while the stream is open. (RAFT_SIM_HEARTBEAT)
    heartbeat: float = 25.0
    #: A heartbeat so long after a delivery sends all that is pending again. (RAFT_SIM_SETTLE)
    settle: float = 3.0
    #: All that is pending is sent again so often. (RAFT_SIM_RECONCILE)
    reconcile: float = 120.0
    #: A failed hint comes again after so long. (RAFT_SIM_FAILED)
    failed: float = 4.0
    #: The first wait after a lost stream; grows by itself up to ``retry_cap``. (RAFT_SIM_RETRY)
    retry: float = 5.0
    retry_cap: float = 60.0
    #: A stream silent for so long is lost. (RAFT_SIM_SILENCE)
    silence: float = 60.0
    #: The HTTP client's own deadline of a wake. (RAFT_SIM_POST_TIMEOUT)
    post_timeout: float = 300.0
    #: (RAFT_SIM_DRAIN_TIMEOUT)
    drain_timeout: float = 3.0
    #: Of every other request to the server. (RAFT_SIM_REQUEST_TIMEOUT)
    request_timeout: float = 30.0


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


def retry_delay(losses: int, timers: Timers) -> float:
    """The wait before try ``losses`` (1, 2, …): 5, 10, 20, 40, 60, 60 s by default."""
    # The exponent is bounded: a server may be away for days.
    return float(min(timers.retry_cap, timers.retry * 2.0 ** min(losses - 1, 30)))
