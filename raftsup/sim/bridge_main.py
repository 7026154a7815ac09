"""Starting the bridge: what must be right before it takes its lock, and how it ends."""

from __future__ import annotations

import argparse
import os
import signal
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from raftsup.sim import bridge_faults, lock, timers
from raftsup.sim.agent_api import AgentApi
from raftsup.sim.bridge import Bridge, Fatal
from raftsup.sim.bridge_report import Identity, Reporter, timestamp
from raftsup.sim.bridge_state import BridgeState, state_dir
from raftsup.sim.endpoint_calls import Endpoint
from raftsup.sim.profiles import Profile


def run(args: argparse.Namespace, profile: Profile, home: Path, environ: Mapping[str, str]) -> int:
    """Serve until something is fatal; returns the exit code 1. A signal ends it before that."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        # At once and without a word; the lock stays. Whatever a parent had set.
        signal.signal(number, signal.SIG_DFL)
    report = Reporter(args.json)
    try:
        _misbehave(environ)
        _check(args, profile, environ)
        times = timers.from_environ(environ)
        state = BridgeState(state_dir(home, profile.agent_id))
        identity = Identity(profile.agent_id, profile.name, state.core_session_id)
        api = AgentApi(profile, times.request_timeout)
        endpoint = Endpoint(args.wake_channel_endpoint, environ["RAFT_CHANNEL_TOKEN"], identity)
        report.identify(identity)
        lock.acquire(state.lock_path, _owner(profile))
    except lock.LockHeld as error:
        message = "raft agent bridge is already running for this profile/agent/adapter state."
        report.fatal("BRIDGE_ALREADY_RUNNING", message, f"Lock: {error.path}")
        return 1
    except (Fatal, ValueError, timers.BadTimer) as error:
        report.fatal(getattr(error, "code", "BRIDGE_USAGE"), str(error))
        return 1
    report.started()
    try:
        Bridge(api, endpoint, state, report, times).run()
    except Fatal as error:
        report.fatal(error.code, str(error))
    finally:
        lock.release(state.lock_path)
    return 1


def _misbehave(environ: Mapping[str, str]) -> None:
    if word := environ.get("RAFT_SIM_BRIDGE_FAULT"):
        bridge_faults.arrange(bridge_faults.parse(word))


def _check(args: argparse.Namespace, profile: Profile, environ: Mapping[str, str]) -> None:
    """Raises ``Fatal``."""
    if not args.expected_agent:
        raise Fatal(
            "BRIDGE_EXPECTED_AGENT_REQUIRED",
            "set RAFT_EXPECTED_AGENT_ID or --expected-agent to the agent this bridge must serve",
        )
    if args.expected_agent != profile.agent_id:
        raise Fatal(
            "BRIDGE_IDENTITY_MISMATCH",
            f"profile {profile.name} is agent {profile.agent_id}, not {args.expected_agent}",
        )
    if args.wake_adapter != "wake-channel":
        raise Fatal("BRIDGE_ADAPTER_UNKNOWN", f"no wake adapter {args.wake_adapter!r}")
    if not environ.get("RAFT_CHANNEL_TOKEN"):
        raise Fatal("BRIDGE_CHANNEL_TOKEN_REQUIRED", "set RAFT_CHANNEL_TOKEN in the environment")


def _owner(profile: Profile) -> dict[str, object]:
    return {
        "ownerId": f"owner_{uuid.uuid4()}",
        "pid": os.getpid(),
        "createdAt": timestamp(time.time()),
        "profileSlug": profile.name,
        "agentId": profile.agent_id,
        "adapterInstance": "default",
    }
