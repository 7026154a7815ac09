"""The Gateway's session that a seat's runs go to. Pure."""

from __future__ import annotations

import hashlib
import re

from raftsup.config.model import OpenClawAgent

_UNSAFE = re.compile(r"[^a-z0-9_-]+")


def key_of(agent: OpenClawAgent, lane: str, default_agent: str) -> str:
    """The session's full key: ``agent:<agent id>:raft:<lane>`` unless the config names one."""
    owner = agent.agent_id or default_agent
    if agent.session_key:
        named = agent.session_key
        return named if named.startswith("agent:") else f"agent:{owner}:{named}"
    return f"agent:{owner}:raft:{_safe(lane)}"


def _safe(lane: str) -> str:
    """The lane's name as a part of a key; no two lanes have the same."""
    safe = _UNSAFE.sub("-", lane.lower())
    if safe == lane:
        return safe
    # A dot is in no safe name: no lane can be called what another one is turned into.
    return f"{safe}.{hashlib.blake2b(lane.encode(), digest_size=8).hexdigest()}"
