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

from raftsup.sim import agent_api, bridge_faults, cli_errors, daemon_api, timers, wire
from raftsup.sim import bridge_report as report
from raftsup.sim.agent_api import AgentApi
from raftsup.sim.bridge_report import Event, Identity, Reporter
from raftsup.sim.bridge_state import BridgeState, Hint, as_node_says, hint_key, hint_seq
from raftsup.sim.cli_errors import CliError
from raftsup.sim.daemon_api import Transient
from raftsup.sim.endpoint_calls import (
    ActivitySource,
    DrainFailed,
    WakeEndpoint,
    sanitized,
    whole,
)
from raftsup.sim.js import JsTypeError
from raftsup.sim.stream import Event as SentEvent
from raftsup.sim.stream import HintStream, StreamLost

#: Of a stream: the server has none.
_UNAVAILABLE = (404, 405, 501)
_HANDOFF = "agent_comms.handoff"
_INGEST = "raft-agent-activity-ingest.v1"
_REVOKED = "credential-revoked"
#: A server-sent event without a name is a hint too. ``sim-fault`` is the simulator's own.
_NAMES = ("", "wake-hint", "sim-fault")


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
    endpoint: WakeEndpoint | None
    activity: ActivitySource | None
    state: BridgeState
    report: Reporter
    times: timers.Timers
    options: Options
    clock: Callable[[], float] = time.monotonic
    _stream: HintStream | None = None
    #: When each hint was last injected, for the grace of a regular reconcile.
    _injected: dict[str, float] = field(default_factory=dict)

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
            except (OSError, ValueError) as error:
                # Its own files: a ledger of hints that cannot be read, a disk that is full. And
                # what it trips over.
                kind, told = _bug(error)
                self._fatal(kind, told)
                raise cli_errors.internal(told) from error
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
            daemon_api.forward(self.api, {"schema": _INGEST, "events": [event]})
        except CliError as failed:
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
        """Raises ``Transient``, ``StreamUnavailable``, ``CliError`` and what its files do."""
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
        if self.activity is not None:
            said.append(self._drain(who, self.activity))
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
        wake, verdict = self.endpoint.wake(who, hint, attempt, stand_in)
        result = report.wake_result(wake, verdict, stand_in)
        self.state.prove(result)
        said.append(result)
        if verdict.injected:
            self.state.forget(hint)
            self._injected[hint_key(hint)] = self.clock()

    def _drain(self, who: Identity, source: ActivitySource) -> Event:
        try:
            drained = source.drain(self.times.drain_timeout, self.options.drain_limit)
        except DrainFailed as error:
            told = {"errorClass": error.kind, "errorMessage": str(error)[:200]}
            return report.activity_drain(who, "failed", droppedCount=error.dropped, **told)
        events, rejected = sanitized(drained["events"])
        dropped = whole(drained.get("dropped"))
        counts: dict[str, Any] = {
            "drainedCount": len(drained["events"]),
            "rejectedCount": rejected,
            "droppedCount": dropped,
        }
        if not events:
            return report.activity_drain(who, "no_events", **counts)
        body = {
            "schema": _INGEST,
            "coreSessionId": who.core_session_id,
            "adapterInstance": who.adapter_instance,
            "events": events,
            "dropped": dropped,
        }
        try:
            daemon_api.forward(self.api, body)
        except CliError as error:
            return report.activity_drain(
                who, "failed", **counts, errorClass="CliError", errorMessage=str(error)[:200]
            )
        return report.activity_drain(who, "forwarded", **counts, forwardedCount=len(events))

    # -- where hints come from

    def _poll(self, since: int | str) -> tuple[list[Hint], int | None]:
        """Raises ``Transient`` for 5xx alone: a poll that finds nobody ends the bridge."""
        found = daemon_api.wake_hints(self.api, since, self.options.limit, next=self.options.next)
        if self.api.fault_word:
            bridge_faults.arrange(bridge_faults.parse(self.api.fault_word))
        return found

    def _listen(self, since: int | str) -> tuple[list[Hint], int | None]:
        """One chunk of the stream. Raises all that ``_pass`` does."""
        if self._stream is None:
            self._stream = self._open(since)
        names = (*_NAMES, _REVOKED) if self.options.next else _NAMES
        try:
            event = self._stream.read(self.times.idle, names)
        except StreamLost as error:
            self._close()
            raise Transient("TypeError", str(error)) from error
        if event is None:
            return [], None
        if event.name == "sim-fault":
            bridge_faults.arrange(bridge_faults.parse(event.data))
            return [], None
        if event.name == _REVOKED:
            self._close()
            raise CliError("BRIDGE_WAKE_STREAM_FAILED", "the credential was revoked")
        try:
            hint = _hint_of(event)
        except ValueError as error:
            self._close()
            raise Transient("TypeError", f"wake-hint stream parse failed: {error}") from error
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
        if answer.code == "INVALID_JSON_RESPONSE":
            why = f"HTTP {opened.status}"
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
        try:
            self.report.emit(*self._reconciled(regular))
        except (CliError, Transient) as error:
            self.report.emit({"type": "reconcile_failed", "message": str(error)[:200]})
        except (OSError, ValueError) as error:
            self.report.emit({"type": "reconcile_failed", "message": _bug(error)[1][:200]})

    def _reconciled(self, regular: bool) -> list[Event]:
        grace = min(self.times.grace, self.times.reconcile / 2) if regular else 0.0
        core, _ = self.state.session()
        who = self._identity(core or f"core_{uuid.uuid4()}")
        said: list[Event] = []
        hints, _ = self._poll(0)
        recent = 0
        for hint in hints:
            if self.clock() - self._injected.get(hint_key(hint), float("-inf")) < grace:
                recent += 1
                continue
            self.state.keep(hint)
            self._hand_over(who, hint, said, attempt=_attempt(), replay=True)
        peek = {
            "type": "reconcile_peek" if regular else "fast_reconcile_peek",
            "pendingCount": len(hints),
            "reinjectedCount": len(hints) - recent,
            "skippedRecentCount": recent,
        }
        return [*said, peek]


def _hint_of(event: SentEvent) -> Hint:
    """Raises ``ValueError``."""
    hint = json.loads(event.data)
    if hint is None and event.id.isdecimal():
        raise JsTypeError.of_null("seq")
    hint = hint if isinstance(hint, dict) else {}
    if event.id.isdecimal() and not isinstance(hint.get("seq"), int | float):
        hint = {**hint, "seq": int(event.id)}
    return hint


def _bug(error: OSError | ValueError) -> tuple[str, str]:
    """The name and the words that the CLI has for it."""
    if isinstance(error, OSError):
        return "Error", as_node_says(error)
    return ("TypeError" if isinstance(error, JsTypeError) else "SyntaxError"), str(error)


def _attempt() -> str:
    return f"attempt_{uuid.uuid4()}"
