"""``raft agent bridge``: one account's wake hints, from the server's stream to the endpoint.

One thread, on purpose: while a POST has no answer the true bridge reads no stream, drains no
activity and reconciles nothing. It works in passes: one chunk of the stream (or one poll), what of
it must be delivered, one drain; what it has to say of a pass comes all together at its end.
Source: RAFT_PROTOCOL, "What it says, and when" [commands/agent/bridge.ts,
agentCommsCore/bridge.ts].
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from raftsup.sim import agent_api, bridge_faults, cli_errors, timers, wire
from raftsup.sim import bridge_report as report
from raftsup.sim.agent_api import AgentApi
from raftsup.sim.bridge_report import Event, Identity, Reporter
from raftsup.sim.bridge_state import BridgeState, Hint, hint_id, hint_seq
from raftsup.sim.cli_errors import CliError
from raftsup.sim.endpoint_calls import DrainFailed, Endpoint, sanitized
from raftsup.sim.stream import HintStream, StreamLost

#: 403 of a "delegated" connection's server to the old routes; other 4xx end a bridge as well.
_UNAVAILABLE = (404, 405, 501)
_HANDOFF = "agent_comms.handoff"


class Transient(Exception):
    """A pass failed in a way that passes; ``code`` is what the CLI calls it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamUnavailable(Exception):
    """The server has no stream: polled from now on."""


@dataclass(frozen=True)
class Options:
    """What the command line chooses besides the timers."""

    adapter_instance: str = "default"
    limit: int = 50
    drain_limit: int = 50
    once: bool = False
    #: Stands in where the endpoint's success names no runtime session.
    runtime_session: str | None = None
    #: Of a newer CLI than 0.0.24.
    next: bool = False


@dataclass
class Bridge:
    profile: str
    agent_id: str
    api: AgentApi
    endpoint: Endpoint | None
    state: BridgeState
    report: Reporter
    times: timers.Timers
    options: Options
    clock: Callable[[], float] = time.monotonic
    _stream: HintStream | None = None
    #: When each hint was last injected, for the grace of a regular reconcile.
    _injected: dict[str | None, float] = field(default_factory=dict)

    def run(self) -> None:
        """Returns only with ``--once``. Raises ``CliError``."""
        mode, fallback, replay = ("poll" if self.options.once else "stream"), False, True
        failures, fast_at, reconciled_at = 0, float("inf"), self.clock()
        self.report.started(mode, self.times.poll, self.times.reconcile)
        while True:
            try:
                events = self._pass(mode, replay)
            except StreamUnavailable as error:
                mode = "poll"
                self.report.emit(
                    {"type": "bridge_stream_unavailable", "fallback": "poll", "message": str(error)}
                )
                self.report.say("wake-hint stream unavailable; falling back to polling.")
                continue
            except Transient as error:
                failures, replay = failures + 1, False
                self._wait(failures, error)
                mode, fallback = "poll", fallback or mode == "stream"
                continue
            except CliError as error:
                self._fatal(error.code, str(error))
                raise
            except ValueError as error:
                # Its own ledger of hints cannot be read: nothing mends that.
                self._fatal("SyntaxError", str(error))
                raise cli_errors.internal(str(error)) from error
            self.report.emit(*events)
            if failures:
                self.report.emit({"type": "bridge_recovered", "afterFailures": failures})
                self.report.say(f"recovered after {failures} transient failure(s); bridge resumed.")
            failures, replay = 0, False
            if self.options.once:
                return
            if any(event.get("type") == _HANDOFF for event in events):
                fast_at = self.clock() + self.times.fast_reconcile
            now = self.clock()
            regular = now - reconciled_at >= self.times.reconcile
            if regular or now >= fast_at:
                reconciled_at = now if regular else reconciled_at
                fast_at = float("inf")
                self._reconcile(regular)
            if fallback:
                mode, fallback = "stream", False
            elif mode == "poll":
                time.sleep(self.times.poll)

    def _wait(self, failures: int, error: Transient) -> None:
        """Raises ``CliError`` with ``--once``."""
        if self.options.once:
            surfaced = CliError(error.code, str(error))
            self._fatal(error.code, str(error))
            raise surfaced from error
        delay = timers.retry_delay(failures, self.times)
        told = str(error)[:200]
        self.report.emit(
            {
                "type": "bridge_retry",
                "consecutiveFailures": failures,
                "delayMs": round(delay * 1000),
                "errorCode": error.code,
                "message": told,
            }
        )
        self.report.say(
            f"transient failure ({error.code}: {told}); retry #{failures} in {delay:.0f}s. Pending"
            " wakes are not lost; `raft message check` still works directly."
        )
        time.sleep(delay)

    def _fatal(self, code: str, message: str) -> None:
        message = message[:200]
        self.report.emit({"type": "bridge_fatal", "errorCode": code, "message": message})
        event = {
            "schema": "raft-activity.v1",
            "eventId": f"bridge_fatal_{uuid.uuid4()}",
            "hookEventName": "BridgeFatal",
            "status": "failed",
            "occurredAt": report.timestamp(),
            "errorClass": code,
            "toolOutput": message,
            "toolOutputTruncated": False,
        }
        try:
            self._forward([event])
        except (CliError, Transient) as failed:
            self.report.emit(
                {
                    "type": "bridge_fatal_activity_forward_failed",
                    "errorCode": failed.code,
                    "message": str(failed)[:200],
                }
            )
        else:
            self.report.emit({"type": "bridge_fatal_activity_forwarded"})

    # -- a pass

    def _pass(self, mode: str, replay: bool) -> list[Event]:
        """Raises ``Transient``, ``StreamUnavailable`` and ``CliError``."""
        core, last_seen = self.state.session()
        who = self._identity(core or f"core_{uuid.uuid4()}")
        said = [report.lifecycle(who, "starting")]
        left = self.state.hints() if replay else []
        if left:
            said.append(report.lifecycle(who, "connected_replaying"))
            for hint in left:
                self._hand_over(who, hint, said, attempt=_attempt(), replay=True)
        since: int | str = "latest" if last_seen is None else last_seen
        hints, last = self._poll(since) if mode == "poll" else self._listen(since)
        taken = 0
        for hint in hints:
            seq = hint_seq(hint)
            if seq is not None and last_seen is not None and seq <= last_seen:
                continue
            attempt = _attempt()
            for level in ("server_delivered", "harness_accepted"):
                proof = report.proof(who, hint, attempt, level)
                if level == "harness_accepted":
                    self.state.keep(hint)
                self.state.prove(proof)
                said.append(proof)
            self._hand_over(who, hint, said, attempt=attempt, replay=False)
            last_seen = max(last_seen or 0, seq) if seq is not None else last_seen
            taken += 1
        last_seen = max(last_seen or 0, last) if last is not None else last_seen
        if self.endpoint is not None and self.endpoint.drains:
            said.append(self._drain(who))
        self.state.write_session(who.core_session_id, last_seen)
        said.append(report.lifecycle(who, "handoff_pending" if taken else "listening_idle"))
        return said

    def _identity(self, core: str) -> Identity:
        return Identity(self.agent_id, self.profile, core, self.options.adapter_instance)

    def _hand_over(
        self, who: Identity, hint: Hint, said: list[Event], *, attempt: str, replay: bool
    ) -> None:
        said.append(report.handoff(who, hint, attempt, replay))
        if self.endpoint is None:
            return
        stand_in = self.options.runtime_session
        wake, verdict = self.endpoint.wake(who, hint, attempt, self.times.post_timeout, stand_in)
        result = report.wake_result(wake, verdict)
        self.state.prove(result)
        said.append(result)
        if verdict.injected:
            self.state.forget(hint)
            self._injected[hint_id(hint)] = self.clock()

    def _drain(self, who: Identity) -> Event:
        assert self.endpoint is not None
        try:
            drained = self.endpoint.drain(self.times.drain_timeout, self.options.drain_limit)
        except DrainFailed as error:
            return report.activity_drain(
                who, "failed", errorClass=error.kind, errorMessage=str(error)[:200]
            )
        events, rejected = sanitized(drained["events"])
        dropped = drained.get("dropped")
        counts: dict[str, Any] = {
            "drainedCount": len(drained["events"]),
            "rejectedCount": rejected,
            "droppedCount": dropped if isinstance(dropped, int) and dropped > 0 else 0,
        }
        if not events:
            return report.activity_drain(who, "no_events", **counts)
        more = {
            "coreSessionId": who.core_session_id,
            "adapterInstance": who.adapter_instance,
            "dropped": counts["droppedCount"],
        }
        try:
            self._forward(events, **more)
        except (CliError, Transient) as error:
            return report.activity_drain(
                who, "failed", **counts, errorClass="CliError", errorMessage=str(error)[:200]
            )
        return report.activity_drain(who, "forwarded", **counts, forwardedCount=len(events))

    def _forward(self, events: list[Event], **more: object) -> None:
        """Raises ``CliError`` and ``Transient``."""
        body = {"schema": "raft-agent-activity-ingest.v1", **more, "events": events}
        try:
            answer = self.api.post("/activity", body)
        except wire.WireError as error:
            raise _unanswered("activityForward") from error
        if not answer.ok:
            code = "SERVER_5XX" if answer.status >= 500 else "BRIDGE_ACTIVITY_FORWARD_FAILED"
            raise CliError(code, answer.error or f"HTTP {answer.status}")

    # -- where hints come from

    def _poll(self, since: int | str) -> tuple[list[Hint], int | None]:
        """Raises ``Transient`` for 5xx alone: a poll that finds nobody ends the bridge."""
        try:
            answer = self.api.get("/wake-hints", since=since, limit=self.options.limit)
        except wire.WireError as error:
            raise _unanswered("wakeHintsFetch") from error
        if self.api.fault_word:
            bridge_faults.arrange(bridge_faults.parse(self.api.fault_word))
        if answer.code == "INVALID_JSON_RESPONSE" or (answer.ok and answer.data is None):
            raise _misread("wakeHintsFetch", "contain valid JSON")
        if answer.status >= 500:
            raise Transient("SERVER_5XX", answer.error or f"HTTP {answer.status}")
        if not answer.ok:
            raise CliError("BRIDGE_WAKE_HINTS_FAILED", answer.error or f"HTTP {answer.status}")
        hints = answer.data.get("wake_hints") if isinstance(answer.data, dict) else None
        if not isinstance(hints, list):
            raise _misread("wakeHintsFetch", "match the shared contract")
        last = answer.data.get("last_hint_seq")
        return hints, last if isinstance(last, int) else None

    def _listen(self, since: int | str) -> tuple[list[Hint], int | None]:
        """One chunk of the stream. Raises all that ``_pass`` does."""
        if self._stream is None:
            self._stream = self._open(since)
        try:
            event = self._stream.read(self.times.idle)
        except StreamLost as error:
            self._close()
            raise Transient("TypeError", str(error)) from error
        if event is None:
            return [], None
        if event.name == "sim-fault":
            bridge_faults.arrange(bridge_faults.parse(event.data))
            return [], None
        if event.name == "credential-revoked" and self.options.next:
            self._close()
            raise CliError("BRIDGE_WAKE_STREAM_FAILED", "the credential was revoked")
        if event.name and event.name != "wake-hint":
            return [], None
        try:
            hint = json.loads(event.data)
        except ValueError as error:
            self._close()
            raise Transient("TypeError", f"wake-hint stream parse failed: {error}") from error
        if event.id.isdigit() and hint_seq(hint) is None:
            hint = {**hint, "seq": int(event.id)}
        return [hint], hint_seq(hint)

    def _open(self, since: int | str) -> HintStream:
        try:
            opened = self.api.stream(since)
        except wire.WireError as error:
            raise Transient("TypeError", "fetch failed") from error
        if 200 <= opened.status < 300:
            return HintStream(opened.sock, opened.head_rest)
        body = wire.rest_of(opened)
        answer = agent_api.read(opened.status, opened.headers, body)
        why = answer.error or f"HTTP {opened.status}"
        if opened.status in _UNAVAILABLE:
            raise StreamUnavailable(why)
        if opened.status >= 500:
            raise Transient("SERVER_5XX", why)
        raise CliError("BRIDGE_WAKE_STREAM_FAILED", why)

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _reconcile(self, regular: bool) -> None:
        """Send all that the server has pending again; trouble with it is only told."""
        grace = min(self.times.grace, self.times.reconcile / 2) if regular else 0.0
        core, _ = self.state.session()
        who = self._identity(core or f"core_{uuid.uuid4()}")
        said: list[Event] = []
        try:
            hints, _ = self._poll(0)
        except (CliError, Transient) as error:
            self.report.emit({"type": "reconcile_failed", "message": str(error)[:200]})
            return
        recent = 0
        for hint in hints:
            if self.clock() - self._injected.get(hint_id(hint), float("-inf")) < grace:
                recent += 1
                continue
            self.state.keep(hint)
            self._hand_over(who, hint, said, attempt=_attempt(), replay=True)
        self.report.emit(
            *said,
            {
                "type": "reconcile_peek" if regular else "fast_reconcile_peek",
                "pendingCount": len(hints),
                "reinjectedCount": len(hints) - recent,
                "skippedRecentCount": recent,
            },
        )


def _unanswered(route: str) -> CliError:
    """[shared: daemonApiClient, daemonApiPath.ts]"""
    return CliError("CHECK_FAILED", f"Daemon API {route} transport request failed")


def _misread(route: str, what: str) -> CliError:
    return CliError("INVALID_JSON_RESPONSE", f"Daemon API {route} response did not {what}")


def _attempt() -> str:
    return f"attempt_{uuid.uuid4()}"
