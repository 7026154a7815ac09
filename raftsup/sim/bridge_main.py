"""Starting the bridge: what must be right before it takes its lock, and how it ends.

What is wrong before ``bridge_process_started`` is said on standard error alone. Source:
RAFT_PROTOCOL, "Starting the bridge" [commands/agent/bridge.ts].
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Mapping
from pathlib import Path

from raftsup.sim import bridge_faults, cli_errors, lock, timers, wire
from raftsup.sim.agent_api import AgentApi
from raftsup.sim.bridge import Bridge, Options
from raftsup.sim.bridge_report import Reporter, timestamp
from raftsup.sim.bridge_state import BridgeState, state_dir
from raftsup.sim.cli_errors import CliError
from raftsup.sim.endpoint_calls import Endpoint
from raftsup.sim.profiles import Profile
from raftsup.sim.usage import Given

#: Set by a stop of the CLI's own making: the flag's value counts for more.
_IDLE = "SLOCK_BRIDGE_WAKE_STREAM_IDLE_TIMEOUT_MS"


def run(args: Given, profile: Profile, environ: Mapping[str, str], next: bool) -> int:
    """Serve until something is fatal. Raises ``CliError``; a signal ends it before that."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        # At once and without a word; the lock stays. Whatever a parent had set.
        signal.signal(number, signal.SIG_DFL)
    if word := environ.get("RAFT_SIM_BRIDGE_FAULT"):
        bridge_faults.arrange(bridge_faults.parse(word))
    _check_agent(args, profile, environ)
    times = _times(args, environ)
    instance = args.adapter_instance or "default"
    options = Options(
        adapter_instance=instance,
        limit=_positive(args.limit, 50, "limit"),
        drain_limit=_positive(args.activity_drain_limit, 50, "activity-drain-limit"),
        once=args.once,
        runtime_session=args.runtime_session,
        next=next,
    )
    endpoint = _endpoint(args, environ)
    try:
        api = AgentApi(profile)
    except wire.WireError as error:
        raise cli_errors.internal(str(error)) from error
    directory = (
        Path(args.state_dir)
        if args.state_dir
        else state_dir(profile.path.parent, profile.agent_id, instance, environ)
    )
    state = BridgeState(directory)
    owner = {
        "ownerId": f"owner_{uuid.uuid4()}",
        "pid": os.getpid(),
        "createdAt": timestamp(),
        "profileSlug": profile.name,
        "agentId": profile.agent_id,
        "adapterInstance": instance,
    }
    try:
        lock.acquire(state.lock_path, owner)
    except lock.LockHeld as error:
        raise CliError(
            "BRIDGE_ALREADY_RUNNING",
            "raft agent bridge is already running for this profile/agent/adapter state.",
            f"Stop the existing bridge or use a different --adapter-instance. Lock: {error.path}",
        ) from error
    report = Reporter(state, args.json)
    try:
        Bridge(profile.name, profile.agent_id, api, endpoint, state, report, times, options).run()
    finally:
        lock.release(state.lock_path, owner)
    return 0


def _check_agent(args: Given, profile: Profile, environ: Mapping[str, str]) -> None:
    expected = args.expected_agent or environ.get("RAFT_EXPECTED_AGENT_ID")
    if not expected:
        raise CliError(
            "BRIDGE_EXPECTED_AGENT_REQUIRED",
            "raft agent bridge requires an independently expected Agent id.",
            "Set RAFT_EXPECTED_AGENT_ID to the Agent id from the Raft setup surface, or pass"
            " --expected-agent <id>.",
        )
    if expected != profile.agent_id:
        raise CliError(
            "BRIDGE_IDENTITY_MISMATCH",
            f"The selected profile resolves to Agent {profile.agent_id}, but this bridge was"
            f" started for Agent {expected}. No request was sent.",
            "Select the profile for the expected Agent, then restart the bridge.",
        )


def _times(args: Given, environ: Mapping[str, str]) -> timers.Timers:
    try:
        times = timers.from_environ(environ)
    except timers.BadTimer as error:
        raise CliError("INVALID_ARG", str(error)) from error
    if args.poll_interval_ms is not None:
        every = _positive(args.poll_interval_ms, 5000, "poll-interval-ms")
        times = times._replace(poll=every / 1000)
    idle = environ.get(_IDLE, "")
    return times._replace(idle=int(idle) / 1000) if idle.isdecimal() and int(idle) else times


def _positive(text: str | None, fallback: int, label: str) -> int:
    if text is None:
        return fallback
    if not text.isdecimal() or int(text) <= 0:
        raise CliError("INVALID_ARG", f"--{label} must be a positive integer")
    return int(text)


def _endpoint(args: Given, environ: Mapping[str, str]) -> Endpoint | None:
    if not args.wake_adapter:
        return None
    if args.wake_adapter != "wake-channel":
        raise CliError("INVALID_ARG", "--wake-adapter must be `wake-channel`")
    token = args.wake_channel_token or environ.get("RAFT_CHANNEL_TOKEN")
    try:
        return Endpoint(args.wake_channel_endpoint, token, args.activity_channel_endpoint)
    except ValueError as error:
        raise CliError("INVALID_ARG", str(error)) from error
