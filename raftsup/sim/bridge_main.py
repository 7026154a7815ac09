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
from typing import TypeVar

from raftsup.sim import bridge_faults, cli_errors, lock, timers, wire
from raftsup.sim.agent_api import AgentApi
from raftsup.sim.bridge import Bridge, Options
from raftsup.sim.bridge_report import Reporter, timestamp
from raftsup.sim.bridge_state import BridgeState, as_node_says, state_dir
from raftsup.sim.cli_errors import CliError
from raftsup.sim.endpoint_calls import ActivitySource, WakeEndpoint, derived_drain
from raftsup.sim.numbers import positive
from raftsup.sim.profiles import Profile
from raftsup.sim.usage import Given

T = TypeVar("T")

#: The true CLI's own variable, in milliseconds: it counts for more than the simulator's.
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
    instance = _either(args.adapter_instance, "default")
    options = Options(
        adapter_instance=instance,
        limit=positive(args.limit, "limit") or 50,
        drain_limit=positive(args.activity_drain_limit, "activity-drain-limit") or 50,
        once=args.once,
        runtime_session=args.runtime_session,
        next=next,
    )
    token = _either(args.wake_channel_token, environ.get("RAFT_CHANNEL_TOKEN"))
    endpoint = _endpoint(args, token, times.http_timeout)
    activity = _activity(args, token)
    try:
        api = AgentApi(profile, times.http_timeout)
    except wire.WireError as error:
        raise cli_errors.internal(str(error)) from error
    directory = (
        Path(args.state_dir)
        if args.state_dir
        else state_dir(profile.path.parent, profile.agent_id, instance, environ)
    )
    owner = {
        "ownerId": f"owner_{uuid.uuid4()}",
        "pid": os.getpid(),
        "createdAt": timestamp(),
        "profileSlug": profile.name,
        "agentId": profile.agent_id,
        "adapterInstance": instance,
    }
    state = _locked(directory, owner)
    report = Reporter(state, args.json)
    try:
        Bridge(
            profile.name, profile.agent_id, api, endpoint, activity, state, report, times, options
        ).run()
    finally:
        lock.release(state.lock_path, owner)
    return 0


def _locked(directory: Path, owner: Mapping[str, object]) -> BridgeState:
    try:
        state = BridgeState(directory)
        lock.acquire(state.lock_path, owner)
    except lock.LockHeld as error:
        raise CliError(
            "BRIDGE_ALREADY_RUNNING",
            "raft agent bridge is already running for this profile/agent/adapter state.",
            f"Stop the existing bridge or use a different --adapter-instance. Lock: {error.path}",
        ) from error
    except OSError as error:
        raise cli_errors.internal(as_node_says(error)) from error
    return state


def _check_agent(args: Given, profile: Profile, environ: Mapping[str, str]) -> None:
    expected = _either(args.expected_agent, environ.get("RAFT_EXPECTED_AGENT_ID"))
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
    if every := positive(args.poll_interval_ms, "poll-interval-ms"):
        times = times._replace(poll=every / 1000)
    idle = environ.get(_IDLE, "")
    return times._replace(idle=int(idle) / 1000) if idle.isdecimal() and int(idle) else times


def _either(flag: str | None, otherwise: T) -> str | T:
    """A flag that was given counts, an empty one too."""
    return otherwise if flag is None else flag


def _endpoint(args: Given, token: str | None, patience: float) -> WakeEndpoint | None:
    """None: what is pending is handed to nobody. A URL that leads nowhere is no error here."""
    if not args.wake_adapter:
        return None
    if args.wake_adapter != "wake-channel":
        raise CliError("INVALID_ARG", "--wake-adapter must be `wake-channel`")
    return WakeEndpoint(args.wake_channel_endpoint, token, patience)


def _activity(args: Given, token: str | None) -> ActivitySource | None:
    """Beside the wake endpoint, with or without an adapter."""
    derived = derived_drain(args.wake_channel_endpoint)
    url = _either(args.activity_channel_endpoint, derived)
    return ActivitySource(url, _either(args.activity_channel_token, token)) if url else None
