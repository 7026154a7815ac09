"""Whether an account's agent can reach Raft, as its bridge found a moment ago."""

from __future__ import annotations

from raftsup import report
from raftsup.paths import StateDir
from raftsup.proc import liveness

_LISTENING = "listening"


def cut_off(state: StateDir, account: str) -> str:
    """Why the account has no link to Raft now, in words for an operator; "" if it has one, or
    nobody knows.
    """
    said = report.read(state.report(account)) or {}
    if not liveness.lives(said.get("pid")):
        return ""
    bridge = said.get("bridge", {}).get("state")
    return "" if bridge == _LISTENING else f"cut off from Raft meanwhile: its bridge is {bridge}"
