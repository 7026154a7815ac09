"""``raft agent bridge``: one account's wake hints, from the server's stream to the endpoint.

One thread, on purpose: while a POST has no answer the true bridge reads no stream, drains no
activity and reconciles nothing. It ends by itself only with 1: on a revoked credential, any
other 4xx of the wake-hint API, and a refused connection at its start or at the first retry after
a lost stream.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from raftsup.sim import bridge_faults, schedule, timers, wire
from raftsup.sim.agent_api import AgentApi, Rejected, Trouble
from raftsup.sim.bridge_report import Reporter
from raftsup.sim.bridge_state import BridgeState, Hint
from raftsup.sim.endpoint_calls import DrainFailed, Endpoint
from raftsup.sim.schedule import Due
from raftsup.sim.stream import HintStream, StreamLost

PAGE = 50


class Fatal(Exception):
    """The bridge ends with 1."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Bridge:
    def __init__(
        self,
        api: AgentApi,
        endpoint: Endpoint,
        state: BridgeState,
        report: Reporter,
        times: timers.Timers,
    ) -> None:
        self._api = api
        self._endpoint = endpoint
        self._state = state
        self._report = report
        self._times = times
        self._plan = schedule.begin(time.monotonic(), times)

    def run(self) -> None:
        """Never returns. Raises ``Fatal``."""
        self._report.lifecycle("starting")
        losses, replay = 0, True
        while True:
            try:
                self._catch_up(replay)
                replay = False
                stream = HintStream(self._api.stream(self._state.last_seen))
                if losses:
                    self._report.event("bridge_recovered", attempts=losses)
                    losses = 0
                self._listen(stream)
                # Silent for too long: one poll at once, then a new stream.
                continue
            except Rejected as error:
                if error.code == "AUTH_REVOKED":
                    self._report.lifecycle("auth_revoked")
                raise Fatal(error.code, str(error)) from error
            except wire.Refused as error:
                if losses <= 1:
                    raise Fatal("SERVER_UNREACHABLE", f"fetch failed: {error}") from error
                reason = str(error)
            except (Trouble, StreamLost) as error:
                reason = str(error)
            losses += 1
            self._wait_for_retry(losses, reason)

    def _wait_for_retry(self, losses: int, reason: str) -> None:
        delay = timers.retry_delay(losses, self._times)
        self._report.lifecycle("degraded_backoff")
        self._report.event(
            "bridge_retry", delayMs=round(delay * 1000), attempt=losses, reason=reason
        )
        self._report.say(f"{reason}; retrying in {delay:g} s")
        time.sleep(delay)

    def _catch_up(self, replay: bool) -> None:
        """One poll; at the start also each hint without a success answer."""
        self._report.lifecycle("connected_replaying")
        if replay:
            self._pass(self._state.open_hints(), again=True)
        while True:
            page = self._ask(self._state.last_seen)
            self._pass([h for h in page["wake_hints"] if h["seq"] > self._state.last_seen])
            if not page.get("has_more"):
                return

    def _ask(self, since: int) -> dict[str, list[Hint]]:
        page = self._api.get("/wake-hints", since=since, limit=PAGE)
        if self._api.fault_word:
            bridge_faults.arrange(bridge_faults.parse(self._api.fault_word))
        if not isinstance(page.get("wake_hints"), list):
            raise Trouble("the server's answer lists no hints")
        return page

    def _listen(self, stream: HintStream) -> None:
        """Serve the stream until it is silent for too long. Raises ``StreamLost``."""
        now = time.monotonic()
        # Heartbeats belong to the stream; reconciliation keeps its own time across streams.
        self._plan = self._plan._replace(heartbeat_at=now + self._times.heartbeat)
        try:
            while True:
                self._report.lifecycle("listening_idle")
                silent_at = stream.heard_at + self._times.silence
                wake_at = min(self._plan.next_at(self._times), silent_at)
                heard = stream.heard_at
                self._take(stream, wake_at - time.monotonic())
                self._follow_up()
                if stream.heard_at == heard and time.monotonic() >= silent_at:
                    self._report.say("the stream is silent: polling")
                    return
        finally:
            stream.close()

    def _take(self, stream: HintStream, wait: float) -> None:
        hints: list[Hint] = []
        for event in stream.read(wait):
            if event.name == "sim-fault":
                bridge_faults.arrange(bridge_faults.parse(event.data))
            elif event.name == "wake-hint":
                try:
                    hints.append(json.loads(event.data))
                except ValueError as error:
                    raise StreamLost("the stream carries no JSON") from error
        self._pass([h for h in hints if h["seq"] > self._state.last_seen])

    def _follow_up(self) -> None:
        what, self._plan = schedule.due(self._plan, time.monotonic(), self._times)
        match what:
            case Due.PENDING:
                pending = self._ask(0)["wake_hints"]
                self._report.event("reconcile_peek", pendingCount=len(pending))
                self._pass(pending, again=True)
            case Due.FAILED:
                self._pass(self._state.open_hints(), again=True)
            case Due.HEARTBEAT:
                self._drain()

    def _pass(self, hints: Iterable[Hint], again: bool = False) -> None:
        """Deliver these, one at a time; then forward the host's activity."""
        some = False
        for hint in hints:
            some = True
            self._report.lifecycle("handoff_pending")
            self._deliver(hint, again)
        if some:
            self._drain()

    def _deliver(self, hint: Hint, again: bool) -> None:
        self._state.begin(hint)
        verdict = self._endpoint.wake(hint, self._times.post_timeout)
        now = time.monotonic()
        if verdict.injected:
            self._state.forget(hint)
        else:
            self._report.say(f"wake {hint['event_id']} failed: {verdict.failure}")
        if not again:
            # What was sent again already waits for the next reconciliation.
            self._state.saw(hint["seq"])
            follow = schedule.delivered if verdict.injected else schedule.failed
            self._plan = follow(self._plan, now)
        self._report.event(
            "wake_attempt",
            outcome="injected" if verdict.injected else "failed",
            failureClass=verdict.failure,
            reason=verdict.reason,
            retryAfterMs=verdict.retry_after_ms,
            wakeHintId=hint["event_id"],
            seq=hint["seq"],
            replay=again,
        )

    def _drain(self) -> None:
        try:
            drained = self._endpoint.drain(self._times.drain_timeout)
            # The true one throws away what names no hook.
            events = [
                e for e in drained["events"] if isinstance(e, dict) and e.get("hookEventName")
            ]
            if events:
                self._api.post(
                    "/activity", {"schema": "raft-agent-activity-ingest.v1", "events": events}
                )
        except (DrainFailed, Rejected, Trouble, wire.WireError) as error:
            self._report.event("agent_comms.activity_drain", outcome="failed", reason=str(error))
            return
        self._report.event(
            "agent_comms.activity_drain",
            outcome="forwarded" if events else "no_events",
            drainedCount=len(events),
            droppedCount=drained.get("dropped", 0),
        )
