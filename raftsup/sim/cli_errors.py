"""Errors as the CLI prints them: exit code 1, labelled lines on standard error.

Source: RAFT_PROTOCOL, "Profiles and identity" [core/errors.ts, core/renderer.ts,
core/context.ts, agentApiPath.ts].
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from raftsup.sim import js

_MINT = "`raft agent login --server <server-url> --agent <agent-id> --profile-slug <slug>`"
_NO_ACCOUNT = f"Use a Raft profile with `raft --profile <slug> ...`; create one with {_MINT}."
_BAD_PROFILE = f"Check the selected Raft profile, or recreate it with {_MINT}."
#: What the CLI advises where it cannot tell who it is.
_BOOTSTRAP = {
    "MISSING_AGENT_ID": _NO_ACCOUNT,
    "MISSING_SERVER_URL": _NO_ACCOUNT,
    "MISSING_TOKEN": _NO_ACCOUNT,
    "PROFILE_FILE_UNREADABLE": _BAD_PROFILE,
    "PROFILE_FILE_INVALID": _BAD_PROFILE,
}


class CliError(Exception):
    """Ends a command with exit code 1."""

    def __init__(
        self,
        code: str,
        message: str,
        next_action: str = "",
        labels: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.next_action = next_action
        #: Further lines between the code and the next action.
        self.labels = labels
        #: Said before the error.
        self.help = ""
        #: With these the error is one JSON object.
        self.details: Mapping[str, Any] | None = None
        #: What became of what was to be done; of that object alone.
        self.effect: str | None = None


def bootstrap(code: str, message: str) -> CliError:
    """Of what decides whose command this is."""
    return CliError(code, message, _BOOTSTRAP.get(code, ""))


def internal(message: str) -> CliError:
    """Of what nobody of the CLI's authors had in mind."""
    return CliError("INTERNAL_BUG", f"Unexpected error: {message}")


def unanswered(route: str, *, repeatable: bool) -> CliError:
    """No HTTP answer came to a command's request."""
    retryable = "yes" if repeatable else "no"
    return CliError(
        "CHECK_FAILED",
        f"Agent API {route} transport request failed",
        labels=("Fault domain: agent_api_transport", f"Retryable: {retryable}"),
    )


def complain(error: CliError) -> None:
    lines = [error.help] if error.help else []
    if error.details is not None:
        lines.append(_as_json(error))
    else:
        lines += [f"Error: {error}", f"Code: {error.code}", *error.labels]
        lines += [f"Next action: {error.next_action}"] if error.next_action else []
    sys.stderr.buffer.write(("\n".join(lines) + "\n").encode("utf-8", "replace"))
    sys.stderr.buffer.flush()


def _as_json(error: CliError) -> str:
    told: dict[str, object] = {
        "code": error.code,
        "message": str(error),
        "fault_domain": None,
        "layer": None,
        "retryable": False,
        "effect": error.effect,
        "correlation_id": None,
    }
    if error.next_action:
        told["next_action"] = error.next_action
    return js.dumps({"ok": False, "error": told, "details": error.details})
