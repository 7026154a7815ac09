"""One connection for each Gateway and way of signing in, shared by all accounts behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from raftsup.config.model import OpenClawAgent
from raftsup.runners.openclaw import identity
from raftsup.runners.openclaw.connection import Gateway
from raftsup.runners.openclaw.frames import Challenge, Device
from raftsup.runners.openclaw.timings import Timings


class Gateways:
    def __init__(
        self, device_key: Path, changed: Callable[[], None], timings: Timings | None = None
    ) -> None:
        self.timings = timings or Timings()
        self._device_key, self._changed = device_key, changed
        self._open: dict[OpenClawAgent, tuple[Gateway, int]] = {}

    def take(self, agent: OpenClawAgent) -> Gateway:
        """The agent's Gateway, connecting or connected. To be given back with ``leave``."""
        way = _way(agent)
        if way not in self._open:
            # The key is read at each handshake: a bad one is this Gateway's trouble, not the
            # dispatcher's end, and gone as soon as a person fixes it.
            def identify(challenge: Challenge) -> Device:
                key = identity.load(self._device_key)
                return identity.device(key, challenge, agent.token or "")

            self._open[way] = Gateway(agent, identify, self._changed, self.timings), 0
        gateway, users = self._open[way]
        self._open[way] = gateway, users + 1
        return gateway

    async def leave(self, agent: OpenClawAgent) -> None:
        """The last who leaves closes the connection."""
        way = _way(agent)
        gateway, users = self._open[way]
        self._open[way] = gateway, users - 1
        if users == 1:
            del self._open[way]
            await gateway.close()


def _way(agent: OpenClawAgent) -> OpenClawAgent:
    """What two agents must share to share a connection."""
    return replace(agent, agent_id=None, session_key=None)
