"""An agent that speaks the Agent Client Protocol over standard input and output.

One process for a lane, which stays from turn to turn: no start is paid for each wake, and its
session remembers. It dies with the dispatcher; the next one starts another, in the same session.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass
from typing import Any

from acp.meta import AGENT_METHODS
from acp.schema import CancelNotification, PromptRequest, PromptResponse, TextContentBlock

from raftsup.backoff import Backoff
from raftsup.config.model import AcpAgent
from raftsup.log import say
from raftsup.runners import leftovers, program
from raftsup.runners.acp import session_store
from raftsup.runners.acp.errors import NOT_FOUND, AgentGone, AgentTrouble, CannotStart, stopped
from raftsup.runners.acp.handlers import Client, Prompted
from raftsup.runners.acp.process import AgentProcess, Launch, start
from raftsup.runners.acp.session import (
    INITIALIZE_TIMEOUT_S,
    Hello,
    Session,
    greet,
    login_first,
    open_session,
)
from raftsup.runners.acp.updates import Watch
from raftsup.runners.base import AttemptSpec, RunnerContext, Stop
from raftsup.runners.cooldown import Rest
from raftsup.runners.transcript import Bounded, locked
from raftsup.turn import Outcome, OutcomeKind
from raftsup.wait import first_of

LOG = logging.getLogger("raftsup.runners")


@dataclass(frozen=True)
class Timings:
    """Seconds."""

    #: For an agent to start and answer ``initialize``.
    initialize: float = INITIALIZE_TIMEOUT_S
    #: For it to end its turn after ``session/cancel``, and to end once it is told to.
    cancel: float = 5.0
    term: float = Launch.term_grace
    #: Between starts of an agent that keeps dying or cannot be made ready.
    backoff: Backoff = Backoff(base=1.0, cap=300.0)


class _Ready:
    """A process that can be prompted, with its session."""

    def __init__(self, process: AgentProcess, hello: Hello, session: Session) -> None:
        self.process, self.hello, self.session = process, hello, session


class AcpRunner:
    def __init__(self, seat: RunnerContext[AcpAgent], timings: Timings | None = None) -> None:
        self._seat, self._timings = seat, timings or Timings()
        self._cwd = str(program.folder(seat.agent))
        self._client = Client(seat.agent.permissions, seat.lane)
        self._rest = Rest(self._timings.backoff, seat.changed)
        self._memory = seat.state.lane(seat.lane, "json")
        self._identity = session_store.identity(seat.agent.command, self._cwd)
        self._lock = seat.state.lane(seat.lane, "lock")
        self._marks = {
            "RAFTSUP_STATE_DIR": str(seat.state.root),
            # A lane's name may hold any character; its file's name holds plain ones.
            "RAFTSUP_LANE": self._lock.stem,
        }
        self._ready: _Ready | None = None
        #: Takes what the agent writes to standard error; None between turns.
        self._watch: Watch | None = None

    def unavailable(self) -> str:
        return program.away(self._seat.agent, self._seat.env) or self._rest.reason()

    async def close(self) -> None:
        self._rest.close()
        ready, self._ready = self._ready, None
        if ready is not None:
            await ready.process.end()

    async def run(self, work: AttemptSpec, stop: Stop) -> Outcome:
        if stop.done():
            return Outcome(stop.result(), "the agent was not asked yet")
        lock = locked(work.transcript)
        if isinstance(lock, Outcome):
            return lock
        self._watch = watch = Watch(Bounded(lock, work.limit), work.report)
        try:
            return await self._run(work, stop, watch)
        except AgentTrouble as trouble:
            watch.note(trouble.detail.encode(errors="replace"))
            unstarted = isinstance(trouble, CannotStart)
            kind = OutcomeKind.POSTPONED if unstarted else OutcomeKind.FAILED
            return Outcome(kind, str(trouble))
        except OSError as error:
            # No process or descriptor to be had: this host's trouble, not the turn's failure.
            return Outcome(OutcomeKind.POSTPONED, f"cannot start the agent: {error.strerror}")
        finally:
            self._watch = None
            watch.close()
            os.close(lock)

    async def _run(self, work: AttemptSpec, stop: Stop, watch: Watch) -> Outcome:
        opening = asyncio.ensure_future(self._open())
        await first_of(opening, stop)
        if not opening.done():
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            return Outcome(stop.result(), "the agent was still being made ready; it was ended")
        ready = opening.result()
        self._client.prompted = at = Prompted(work.turn, ready.session.id, watch)
        prompt = PromptRequest(
            session_id=at.session, prompt=[TextContentBlock(type="text", text=work.notice)]
        )
        method = AGENT_METHODS["session_prompt"]
        asking = asyncio.ensure_future(ready.process.ask(method, prompt, PromptResponse))
        try:
            await first_of(asking, stop)
            if not asking.done():
                return await self._stop(ready, asking, at, stop.result())
            outcome = stopped(asking.result().stop_reason)
        except AgentGone as gone:
            self._lost(ready, str(gone))
            raise AgentGone(f"{gone} while it worked on the turn") from None
        except AgentTrouble as trouble:
            self._rest.recovered()  # its process is well, and that is what rests
            if trouble.code == NOT_FOUND:
                self._forget("the agent does not know the session any more")
                await self._discard(ready)
            raise login_first(trouble, ready.hello) from None
        finally:
            self._client.prompted = None
        self._rest.recovered()
        return outcome

    async def _stop(
        self, ready: _Ready, asking: asyncio.Future[Any], at: Prompted, kind: OutcomeKind
    ) -> Outcome:
        at.stopping = True
        cancel = CancelNotification(session_id=at.session)
        await ready.process.tell(AGENT_METHODS["session_cancel"], cancel)
        await asyncio.wait({asking}, timeout=self._timings.cancel)
        if not asking.done():
            await self._discard(ready, at_once=True)
            await asyncio.wait({asking})
            how = f"did not stop within {self._timings.cancel:g} s and {ready.process.manner}"
        elif isinstance(asking.exception(), AgentGone):
            self._lost(ready, str(asking.exception()))
            return Outcome(kind, f"asked to stop, {asking.exception()}")
        else:
            how = "stopped when asked"
        asking.exception()  # seen: an error is as good an end as any
        return Outcome(kind, f"the agent {how}")

    # -- the process

    async def _open(self) -> _Ready:
        """The agent, ready for a prompt: the one that is there, or a new one."""
        if self._ready is not None and not self._ready.process.ending:
            return self._ready
        if self._ready is not None:
            await self._discard(self._ready)
        lock = await leftovers.take_lane(self._lock, self._marks, self._report)
        try:
            process = await start(self._launch(lock))
        finally:
            os.close(lock)  # from now on it is the process's
        try:
            hello = await greet(process, self._timings.initialize)
            last = session_store.recall(self._memory, self._identity)
            session = await open_session(process, hello, self._cwd, last, self._forget)
        except BaseException as error:
            await process.end(at_once=True)
            if isinstance(error, AgentTrouble):
                self._failed(str(error))
            if isinstance(error, AgentGone) and not isinstance(error, CannotStart):
                raise AgentGone(
                    f"{error} before it was ready; what it printed is in the transcript"
                ) from None
            raise
        if session.origin == "new":
            self._remember(session.id)
        self._ready = ready = _Ready(process, hello, session)
        process.over.add_done_callback(lambda _: self._on_over(ready))
        facts = {"pid": process.pid, "agent": hello.agent or None, "session": session.origin}
        LOG.info(say("acp.ready", lane=self._seat.lane, **facts))
        return ready

    def _launch(self, lock: int) -> Launch:
        seat = self._seat
        return Launch(
            command=program.argv(seat.agent),
            cwd=self._cwd,
            # The marks are ours: by them a lost process is found.
            env={**seat.env, **seat.agent.env, **self._marks},
            title=f"raftsup: agent of lane {seat.lane}",
            handler=self._client,
            hear=lambda data: self._watch.note(data) if self._watch else None,
            marks=self._marks,
            hold=(lock,),
            term_grace=self._timings.term,
        )

    async def _discard(self, ready: _Ready, *, at_once: bool = False) -> None:
        """End a process on purpose: that is not its failure."""
        if self._ready is ready:
            self._ready = None
        await ready.process.end(at_once=at_once)

    def _on_over(self, ready: _Ready) -> None:
        # In a turn, the turn tells.
        if self._client.prompted is None:
            self._lost(ready, f"{ready.process.why()} between turns")

    def _lost(self, ready: _Ready, why: str) -> None:
        if self._ready is ready:
            self._ready = None
            self._failed(why)

    def _failed(self, why: str) -> None:
        seconds = self._rest.failed(why)
        LOG.warning(say("acp.lost", lane=self._seat.lane, reason=why, next_start_in=seconds))

    def _report(self, text: str) -> None:
        LOG.warning(say("acp.lingers", lane=self._seat.lane, reason=text))

    # -- the session's id

    def _remember(self, session: str) -> None:
        try:
            session_store.remember(self._memory, self._identity, session)
        except OSError as error:
            why = f"cannot write {self._memory}: {error.strerror}"
            LOG.warning(say("acp.session_not_kept", lane=self._seat.lane, reason=why))

    def _forget(self, why: str) -> None:
        LOG.warning(say("acp.session_lost", lane=self._seat.lane, reason=why))
        with contextlib.suppress(OSError):
            session_store.forget(self._memory)
