"""The runner of an agent behind a Gateway: a run is asked for once, and followed to its end.

The order is: write the run's handle down, ask for it, watch it. Whatever dies in between, the
handle tells where to look: over a new connection, after the Gateway's restart, and in the next
dispatcher.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raftsup.config.model import OpenClawAgent
from raftsup.runners.base import AttemptSpec, RunnerContext, Stop
from raftsup.runners.openclaw import frames, mapping, reconcile
from raftsup.runners.openclaw.connection_pool import Gateways
from raftsup.runners.openclaw.frames import Hello
from raftsup.runners.openclaw.reconcile import Fate, Found, Handle, Traces
from raftsup.runners.openclaw.websocket import LinkLost, Refused
from raftsup.runners.transcript import Bounded, locked
from raftsup.turn import Outcome, OutcomeKind
from raftsup.wait import first_of

#: Tasks of the session that are asked for: ours is among the newest.
_TASKS = 20


@dataclass
class _Ride:
    """What is known of the attempt's run while it is followed."""

    handle: Handle | None
    #: Whether this process asked for it and saw nothing break since.
    in_sight: bool = False
    #: The run to abort: ours, or the one by which the Gateway resumed it.
    run: str = ""
    text: str = ""


class OpenClawRunner:
    def __init__(self, seat: RunnerContext[OpenClawAgent], gateways: Gateways) -> None:
        self._seat, self._gateways = seat, gateways
        self._gateway, self._timings = gateways.take(seat.agent), gateways.timings
        #: The boot and the session that a run was begun in last.
        self._clear = "", ""

    def unavailable(self) -> str:
        return self._gateway.trouble()

    async def close(self) -> None:
        await self._gateways.leave(self._seat.agent)

    async def run(self, work: AttemptSpec, stop: Stop) -> Outcome:
        lock = locked(work.transcript)
        if isinstance(lock, Outcome):
            return lock
        ride = _Ride(reconcile.unpack(work.handle))
        try:
            outcome = await self._ride(work, ride, stop)
            transcript = Bounded(lock, work.limit)
            try:
                transcript.write(ride.text.encode())
                transcript.close()
            except OSError as error:
                # The turn is over: a full disk costs what it said, not what it did.
                why = f"{outcome.reason}; its text is lost: {error.strerror}".lstrip("; ")
                return Outcome(outcome.kind, why)
            return outcome
        finally:
            os.close(lock)
            if ride.run:
                self._gateway.listen(ride.run, None)

    async def _ride(self, work: AttemptSpec, ride: _Ride, stop: Stop) -> Outcome:
        following = asyncio.ensure_future(self._follow(work, ride))
        try:
            await first_of(following, stop)
            # Told to end before the first look: what is over already needs no abort.
            if stop.done() and work.handle and not following.done():
                await asyncio.wait({following}, timeout=2 * self._timings.look)
            if following.done():
                return following.result()
        finally:
            following.cancel()
            await asyncio.wait({following})
        kind = stop.result()
        if ride.handle is None:
            return Outcome(kind, "the Gateway was not asked yet")
        if kind is OutcomeKind.INTERRUPTED:
            return Outcome(OutcomeKind.LEFT_RUNNING, "the run goes on at the Gateway")
        try:
            return await asyncio.wait_for(self._abort(kind, ride), self._timings.abort)
        except (TimeoutError, LinkLost, Refused) as error:
            why = str(error) or "it does not answer"
            return Outcome(kind, f"the Gateway would not abort the run, it may go on: {why}")

    async def _abort(self, kind: OutcomeKind, ride: _Ride) -> Outcome:
        assert ride.handle is not None
        await self._gateway.connected()
        run = ride.run or ride.handle.run
        asked = {"sessionKey": ride.handle.session, "runId": run}
        answer = await self._gateway.request("chat.abort", asked)
        wait = await self._gateway.request(
            "agent.wait", {"runId": run, "timeoutMs": int(self._timings.abort * 500)}
        )
        if reconcile.is_over(wait):
            if wait.get("status") == "ok":
                ride.text = mapping.text_of(wait)
                return Outcome(OutcomeKind.SUCCEEDED)
            return Outcome(kind, "the Gateway aborted the run")
        if answer.get("aborted") is True:
            return Outcome(kind, "the Gateway is aborting the run, and has not ended it yet")
        return Outcome(kind, "the Gateway would not abort the run, it may go on")

    async def _follow(self, work: AttemptSpec, ride: _Ride) -> Outcome:
        while True:
            hello = await self._gateway.connected()
            try:
                if ride.handle is None:
                    await self._begin(work, ride, hello)
                elif outcome := await self._look(work, ride, hello):
                    return outcome
            except LinkLost:
                ride.in_sight = False
                await asyncio.sleep(self._timings.look / 10)
            except Refused as refused:
                if not refused.retryable:
                    return mapping.of_refusal(refused)
                await asyncio.sleep(refused.retry_after or self._timings.look)

    async def _begin(self, work: AttemptSpec, ride: _Ride, hello: Hello) -> None:
        """Write down the run that is to be asked for."""
        key = mapping.key_of(self._seat.agent, self._seat.lane, hello.default_agent)
        await self._until_clear(key, hello)
        # Never the same key twice: the Gateway answers a key that it knows without a run, and a
        # ledger that was begun anew counts its turns from one again.
        run = f"raftsup-{work.turn.id}-{work.turn.attempt}-{secrets.token_hex(8)}"
        handle = Handle(run, hello.boot, key)
        await work.remember(reconcile.pack(handle))
        ride.handle = handle
        await self._ask(work, ride, handle)

    async def _until_clear(self, key: str, hello: Hello) -> None:
        """Wait until the Gateway is not about to resume the session by itself. Asked once for
        each of its boots: what is cut off later is ours, and followed.
        """
        while self._clear != (hello.boot, key) and self._gateway.watched() < reconcile.WATCH_S:
            told = await self._gateway.request("sessions.describe", {"key": key}, boot=hello.boot)
            watched = self._gateway.watched()
            traces = Traces(hello.boot, row=told.get("session"), watched=watched)
            if not reconcile.is_recovering(traces):
                break
            await asyncio.sleep(self._timings.look)
        self._clear = hello.boot, key

    async def _ask(self, work: AttemptSpec, ride: _Ride, handle: Handle) -> None:
        params = frames.agent_run(
            work.notice,
            session=handle.session,
            key=handle.run,
            agent_id=self._seat.agent.agent_id,
            seconds=work.seconds,
        )
        self._watch(work, ride, handle.run)
        await self._gateway.request("agent", params, boot=handle.boot)
        ride.in_sight = True

    async def _look(self, work: AttemptSpec, ride: _Ride, hello: Hello) -> Outcome | None:
        """Go one step on with a run that was asked for; its outcome if it is over."""
        assert ride.handle is not None
        if ride.in_sight:
            return await self._wait(ride)
        traces = await self._traces(ride.handle, hello)
        found = reconcile.find(ride.handle, traces)
        match found.fate:
            case Fate.ENDED:
                return self._ended(ride, traces, found)
            case Fate.GOES_ON:
                self._watch(work, ride, found.run)
                return await self._wait(ride)
            case Fate.UNKNOWN:
                await self._ask(work, ride, ride.handle)
            case Fate.PENDING:
                await asyncio.sleep(self._timings.look)
            case Fate.GONE:
                why = "the Gateway restarted under the run and does not resume it"
                return Outcome(OutcomeKind.INTERRUPTED, why)
        return None

    async def _wait(self, ride: _Ride) -> Outcome | None:
        asked = {"runId": ride.run, "timeoutMs": int(self._timings.wait * 1000)}
        wait = await self._gateway.request("agent.wait", asked, timeout=2 * self._timings.wait)
        if not reconcile.is_over(wait):
            ride.in_sight = False
            await asyncio.sleep(self._timings.look)  # it may have come back at once: "pending"
            return None
        ride.text = mapping.text_of(wait)
        return mapping.of_wait(wait)

    async def _traces(self, handle: Handle, hello: Hello) -> Traces:
        async def ask(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
            return await self._gateway.request(method, params, boot=hello.boot)

        wait = await ask("agent.wait", {"runId": handle.run, "timeoutMs": 0})
        row = (await ask("sessions.describe", {"key": handle.session})).get("session")
        # The key as the Gateway writes it: it knows tasks by no other spelling ("Support").
        key = (row or {}).get("key") or handle.session
        tasks = await ask("tasks.list", {"sessionKey": key, "limit": _TASKS})
        return Traces(
            boot=hello.boot,
            wait=wait,
            tasks=tasks.get("tasks", ()),
            row=row,
            watched=self._gateway.watched(),
        )

    def _ended(self, ride: _Ride, traces: Traces, found: Found) -> Outcome:
        if reconcile.is_over(traces.wait):
            ride.text = mapping.text_of(traces.wait)
            return mapping.of_wait(traces.wait)
        ride.text = "[the run ended while raftsup could not watch it]\n"
        return mapping.outcome_of(found.status, error=found.error)

    def _watch(self, work: AttemptSpec, ride: _Ride, run: str) -> None:
        """Report the steps of ``run`` from now on."""
        if ride.run and ride.run != run:
            self._gateway.listen(ride.run, None)
        ride.run = run

        def take(payload: Mapping[str, Any]) -> None:
            if step := mapping.step_of(payload):
                work.report(step)

        self._gateway.listen(run, take)
