"""The runners of this host, each kept from one turn to the next.

An account's seat is its lane and its agent: accounts that share both share a runner, as they
share the agent's session. What a kind of agent needs is imported when the first such agent is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from raftsup.config.model import (
    Account,
    AcpAgent,
    Agent,
    CommandAgent,
    OpenAIAgent,
    OpenClawAgent,
)
from raftsup.log import say
from raftsup.paths import StateDir
from raftsup.proc import child
from raftsup.proc.env import clean_env
from raftsup.runners.base import Runner, RunnerContext
from raftsup.runners.command import CommandRunner

if TYPE_CHECKING:
    from raftsup.runners.openclaw.connection_pool import Gateways

A = TypeVar("A", bound=Agent)
LOG = logging.getLogger("raftsup.dispatcher")


@dataclass(eq=False)
class _Taken:
    """A taken seat: its runner, and how many turns that runs now."""

    lane: str
    agent: Agent
    runner: Runner
    turns: int = 0


class RunnerRegistry:
    """Lends runners to turns. ``changed`` is called when an unavailable one may be back."""

    def __init__(
        self,
        state: StateDir,
        environ: Mapping[str, str],
        changed: Callable[[], None],
        idle: child.IdleShim | None = None,
    ) -> None:
        self._state, self._environ, self._changed, self._idle = state, environ, changed, idle
        self._seats: list[_Taken] = []
        #: Those that the config does not have any more, each until its last turn has ended.
        self._leaving: list[_Taken] = []
        self._closing: set[asyncio.Future[None]] = set()
        self._gateways: Gateways | None = None

    def serve(self, accounts: Iterable[Account]) -> None:
        """Make what ``accounts`` need ready, and let go of what they do not.

        An agent that runs elsewhere is connected now, so that its trouble is told before the
        first wake.
        """
        wanted = [self._of(account) for account in accounts if account.runs]
        for taken in [taken for taken in self._seats if taken not in wanted]:
            self._seats.remove(taken)
            self._leaving.append(taken)
        self._dismiss()

    @contextlib.contextmanager
    def lent(self, account: Account) -> Iterator[Runner]:
        """The account's runner, for one turn."""
        taken = self._of(account)
        taken.turns += 1
        try:
            yield taken.runner
        finally:
            taken.turns -= 1
            self._dismiss()

    def unavailable(self, account: Account) -> str:
        """Why none of the account's turns can start now; "" if one can."""
        return self._of(account).runner.unavailable()

    async def close(self) -> None:
        """Let go of all. No turn runs."""
        closing = [taken.runner.close() for taken in self._seats + self._leaving]
        for error in await asyncio.gather(*closing, *self._closing, return_exceptions=True):
            if isinstance(error, Exception):
                LOG.error(say("runner.close_failed", reason=repr(error)))

    def _of(self, account: Account) -> _Taken:
        for taken in self._seats + self._leaving:
            if taken.lane == account.lane and taken.agent == account.agent:
                if taken in self._leaving:  # an edit of the config was taken back
                    self._leaving.remove(taken)
                    self._seats.append(taken)
                return taken
        assert account.agent is not None  # accounts without one do not run
        taken = _Taken(account.lane, account.agent, self._open(account.lane, account.agent))
        self._seats.append(taken)
        return taken

    def _open(self, lane: str, agent: Agent) -> Runner:
        env = clean_env(self._environ)

        def seat(agent: A) -> RunnerContext[A]:
            return RunnerContext(agent, lane, env, self._state, self._changed)

        match agent:
            case CommandAgent():
                return CommandRunner(agent, env, self._idle)
            case OpenClawAgent():
                from raftsup.runners.openclaw.connection_pool import Gateways
                from raftsup.runners.openclaw.runner import OpenClawRunner

                self._gateways = self._gateways or Gateways(self._state.device_key, self._changed)
                return OpenClawRunner(seat(agent), self._gateways)
            case AcpAgent():
                from raftsup.runners.acp import AcpRunner

                return AcpRunner(seat(agent))
            case OpenAIAgent():
                from raftsup.runners.openai.runner import OpenAIRunner

                return OpenAIRunner(seat(agent))

    def _dismiss(self) -> None:
        for taken in [taken for taken in self._leaving if not taken.turns]:
            self._leaving.remove(taken)
            closing = asyncio.ensure_future(taken.runner.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
