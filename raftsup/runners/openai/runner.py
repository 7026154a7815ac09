"""An agent behind an OpenAI-style HTTP endpoint: one request, one answer, one turn."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from raftsup.backoff import Backoff
from raftsup.config.model import OpenAIAgent
from raftsup.runners.base import AttemptSpec, RunnerContext, Step, Stop
from raftsup.runners.openai.answer import (
    BROKEN,
    REFUSED,
    read,
    refusal,
    retry_after,
)
from raftsup.runners.openai.http import LONGEST, Answer, Lost, NotSent, Sent, exchange
from raftsup.runners.openai.wire import PATHS, body, headers, session_of, url_of
from raftsup.runners.transcript import Bounded, locked
from raftsup.terminal import moment
from raftsup.turn import Outcome, OutcomeKind
from raftsup.wait import first_of


@dataclass(frozen=True)
class Limits:
    """Seconds, and bytes."""

    #: From the start of an attempt, in which its request may be sent again. What fails later may
    #: have done much of its work: that is the dispatcher's to try again, and to count.
    resend: float = 30.0
    pause: Backoff = Backoff(base=1.0, cap=8.0)
    #: The longest answer that is read.
    answer: int = LONGEST


@dataclass(frozen=True)
class _Missed:
    """A request that may be sent again: how the attempt ends if it is not, and the seconds of
    rest that the server asked for.
    """

    outcome: Outcome
    rest: float | None = None


class OpenAIRunner:
    """Sends the notice as a request and waits for the answer.

    A request is sent again within the attempt, under the same idempotency key, where there was no
    connection or the answer is one of ``REFUSED`` or ``BROKEN``. A connection lost after the
    request was sent ends the attempt as FAILED: the run may go on, and whether the endpoint would
    know the key again cannot be known (an OpenClaw Gateway does not read it). The next attempt is
    a new run, and is counted as one.

    Where the endpoint could not be reached, or turned the request away and said for how long, the
    attempt is POSTPONED: it costs the turn none of its attempts.
    """

    def __init__(self, seat: RunnerContext[OpenAIAgent], limits: Limits | None = None) -> None:
        self._seat, self._agent = seat, seat.agent
        self._limits = limits or Limits()
        #: Why the endpoint is left alone, as long as it is; "" if it is not.
        self._rest = ""
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, work: AttemptSpec, stop: Stop) -> Outcome:
        if stop.done():
            return Outcome(stop.result(), "nothing was sent")
        lock = locked(work.transcript)
        if isinstance(lock, Outcome):
            return lock
        try:
            return await self._until_stopped(work, stop, lock)
        finally:
            os.close(lock)

    def unavailable(self) -> str:
        return self._rest

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def _until_stopped(self, work: AttemptSpec, stop: Stop, lock: int) -> Outcome:
        sent = Sent()
        attempt = asyncio.ensure_future(self._attempt(work, lock, sent))
        try:
            await first_of(attempt, stop)
            if attempt.done():
                return attempt.result()
        finally:
            attempt.cancel()
            await asyncio.wait({attempt})
        if not sent.done:
            return Outcome(stop.result(), "no request was under way")
        return Outcome(
            stop.result(),
            "hung up on the endpoint; the agent goes on unless the endpoint notices (an OpenClaw"
            " Gateway does and ends its run)",
        )

    async def _attempt(self, work: AttemptSpec, lock: int, sent: Sent) -> Outcome:
        give_up = time.monotonic() + self._limits.resend
        ask = self._asking(work, lock, sent)
        work.report(Step("thinking"))
        for tries in itertools.count(1):
            got = await ask()
            if isinstance(got, Outcome):
                return got
            sent.done = False
            # Never sooner than by our own measure: a server may ask for a rest of no seconds.
            own = self._limits.pause.delay(tries, random.random())  # noqa: S311
            pause = max(own, got.rest or 0.0)
            if time.monotonic() + pause > give_up:
                if got.rest:
                    self._leave_alone(got.rest, got.outcome.reason)
                return got.outcome
            await asyncio.sleep(pause)
        raise AssertionError("count() does not end")

    def _asking(
        self, work: AttemptSpec, lock: int, sent: Sent
    ) -> Callable[[], Awaitable[Outcome | _Missed]]:
        """The attempt's request, as often as it is to be sent: the same one each time."""
        agent, turn = self._agent, work.turn
        session = session_of(agent, self._seat.lane)
        # Of this attempt alone, and never made again: not by another host with the same numbers,
        # nor by this one after its ledger was begun anew. An attempt never outlives its process,
        # so nothing needs to find the key again.
        key = f"raftsup-{turn.id}-{turn.attempt}-{secrets.token_hex(8)}"
        head, asked = headers(agent, session, key), body(agent, session, work.notice)
        url = url_of(agent, PATHS[agent.api])

        async def ask() -> Outcome | _Missed:
            try:
                answer = await exchange(
                    "POST", url, head, work.env, asked, sent, self._limits.answer
                )
            except NotSent as error:
                return _Missed(Outcome(OutcomeKind.POSTPONED, str(error)))
            except Lost as error:
                why = f"{error}; the agent may go on all the same"
                return Outcome(OutcomeKind.FAILED, why)
            if answer.status in REFUSED | BROKEN:
                return _missed(agent, answer)
            return _judge(agent, answer, Bounded(lock, work.limit))

        return ask

    def _leave_alone(self, seconds: float, reason: str) -> None:
        self._rest = f"{reason}, and asked for rest until {moment(time.time() + seconds)}"
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._rested)
        self._seat.changed()

    def _rested(self) -> None:
        self._rest = ""
        self._seat.changed()


def _missed(agent: OpenAIAgent, answer: Answer) -> _Missed:
    rest = retry_after(answer.retry_after, time.time())
    named = answer.status in REFUSED and rest is not None
    kind = OutcomeKind.POSTPONED if named else OutcomeKind.FAILED
    return _Missed(Outcome(kind, refusal(agent, answer.status, answer.body)), rest)


def _judge(agent: OpenAIAgent, answer: Answer, transcript: Bounded) -> Outcome:
    if not 200 <= answer.status < 300:
        why = refusal(agent, answer.status, answer.body, answer.location)
        return Outcome(OutcomeKind.FAILED, why)
    reading = read(agent.api, answer.body)
    # A full disk costs the transcript, not the turn.
    with contextlib.suppress(OSError):
        transcript.write(reading.text.encode())
        transcript.close()
    kind = OutcomeKind.FAILED if reading.trouble else OutcomeKind.SUCCEEDED
    return Outcome(kind, reading.trouble)
