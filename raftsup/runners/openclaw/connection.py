"""One Gateway, as all its accounts see it: a connection that is kept, and why there is none."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from raftsup.config.model import OpenClawAgent
from raftsup.log import say
from raftsup.runners.openclaw import connect_errors
from raftsup.runners.openclaw.connect_errors import Trouble
from raftsup.runners.openclaw.frames import BadFrame, Event, Hello
from raftsup.runners.openclaw.identity import BadKey
from raftsup.runners.openclaw.timings import Timings
from raftsup.runners.openclaw.websocket import Identify, Link, LinkLost, Refused, dial

LOG = logging.getLogger("raftsup.dispatcher")


class Gateway:
    """Connects, and connects again. Everything about it is told through ``changed``."""

    def __init__(
        self,
        agent: OpenClawAgent,
        identify: Identify,
        changed: Callable[[], None],
        timings: Timings,
    ) -> None:
        self.url = agent.url
        self._agent, self._identify, self._changed = agent, identify, changed
        self._timings = timings
        self._link: Link | None = None
        self._reason = "connecting"
        self._settled_at = 0.0
        self._boot, self._began = "", 0.0
        self._up = asyncio.Event()
        #: By run: who listens to its events.
        self._listeners: dict[str, Callable[[Mapping[str, Any]], None]] = {}
        self._keeping = asyncio.ensure_future(self._keep())

    @property
    def hello(self) -> Hello | None:
        """Of the connection that stands now."""
        return self._link.hello if self._link is not None else None

    def watched(self) -> float:
        """Seconds since the Gateway that we speak to began, by its own account."""
        return time.monotonic() - self._began

    def trouble(self) -> str:
        """Why no run can start there now; "" if one can."""
        if self._link is None:
            return f"the Gateway {self.url}: {self._reason}"
        if time.monotonic() < self._settled_at:
            return f"the Gateway {self.url}: it has just started; its own recovery goes first"
        return ""

    async def connected(self) -> Hello:
        """Wait for a connection that stands; what its Gateway said."""
        while True:
            await self._up.wait()
            if self._link is not None and self._link.hello is not None:
                return self._link.hello
            await asyncio.sleep(0)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        timeout: float | None = None,
        boot: str | None = None,
    ) -> Mapping[str, Any]:
        """Ask over the connection that stands. Raises ``LinkLost`` and ``Refused``.

        ``timeout``: None for an answer that comes at once. ``boot``: the only one that is meant;
        to any other nothing is sent.
        """
        if self._link is None:
            raise LinkLost(self._reason)
        if boot is not None and boot != self._boot:
            raise LinkLost("the Gateway has restarted")
        return await self._link.request(method, params, timeout or self._timings.prompt)

    def listen(self, run: str, take: Callable[[Mapping[str, Any]], None] | None) -> None:
        """Give the payloads of ``agent`` events of ``run`` to ``take``; None: no more."""
        if take is None:
            self._listeners.pop(run, None)
        else:
            self._listeners[run] = take

    async def close(self) -> None:
        self._keeping.cancel()
        await asyncio.wait({self._keeping})

    async def _keep(self) -> None:
        failures, backoff = 0, self._timings.backoff
        while True:
            found = await self._try()
            if isinstance(found, Link):
                since = time.monotonic()
                await self._hold(found)
                # One that breaks at once, again and again, is no reason to hammer a Gateway.
                failures = 0 if time.monotonic() - since > backoff.cap else failures + 1
                await asyncio.sleep(backoff.delay(failures, random.random()))  # noqa: S311
                continue
            failures += 1
            if found.text != self._reason:
                LOG.warning(say("gateway.away", url=self.url, reason=found.text))
            self._reason = found.text
            self._changed()
            wait = backoff.delay(failures, random.random())  # noqa: S311
            if found.lasting:
                wait = self._timings.slow
            await asyncio.sleep(wait if found.again is None else max(found.again, 0.1))

    async def _try(self) -> Link | Trouble:
        try:
            link = await dial(self._agent, self._identify, self._hear, self._timings.connect)
        except Refused as refused:
            return connect_errors.of_refusal(refused)
        except LinkLost as lost:
            return Trouble(f"it cannot be reached: {lost}")
        except (BadFrame, BadKey) as error:
            return Trouble(f"{error}", lasting=True)
        except Exception as error:
            # Whatever a library raises: the next try is due all the same.
            return Trouble(f"the connection failed: {type(error).__name__}: {error}")
        assert link.hello is not None
        if bad := connect_errors.of_hello(link.hello):
            await link.close()
            return bad
        return link

    async def _hold(self, link: Link) -> None:
        assert link.hello is not None
        hello = link.hello
        LOG.info(say("gateway.connected", url=self.url, version=hello.version, boot=hello.boot))
        if hello.boot != self._boot:
            self._boot, self._began = hello.boot, time.monotonic() - hello.uptime / 1000
        self._settled_at = 0.0
        if hello.uptime < self._timings.young * 1000:
            settle = self._timings.settle
            self._settled_at = time.monotonic() + settle
            asyncio.get_running_loop().call_later(settle + 0.01, self._changed)
        self._link = link
        self._up.set()
        self._changed()
        try:
            why = await asyncio.shield(link.lost)
        finally:
            self._up.clear()
            self._link = None
            await link.close()
        self._reason = f"the connection was lost: {why}"
        LOG.warning(say("gateway.lost", url=self.url, reason=why))
        self._changed()

    def _hear(self, event: Event) -> None:
        if event.name == "agent":
            take = self._listeners.get(str(event.payload.get("runId")))
            if take is not None:
                take(event.payload)
