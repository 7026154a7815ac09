"""How long things take between a host and a Gateway, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from raftsup.backoff import Backoff


@dataclass(frozen=True)
class Timings:
    #: Between tries of a Gateway that is away.
    backoff: Backoff = Backoff(0.5, 5.0)
    #: Between tries where only a person can help: soon enough after they did.
    slow: float = 15.0
    #: For the connection, and again for the handshake.
    connect: float = 10.0
    #: A Gateway whose process is younger than this at the handshake has just started …
    young: float = 30.0
    #: … and its first run waits so long: its own recovery begins some 2 s after it answers, and a
    #: run that comes before it breaks it (seen with 2026.9.4).
    settle: float = 3.0
    #: For an answer that the Gateway gives at once.
    prompt: float = 30.0
    #: Of one ``agent.wait``; then we look around anew.
    wait: float = 20.0
    #: Between looks at a session that is about to be resumed.
    look: float = 0.5
    #: For an abort, with the connection that it may need first.
    abort: float = 10.0
