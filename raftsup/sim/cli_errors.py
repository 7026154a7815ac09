"""Errors as the CLI prints them: exit code 1, labelled lines on standard error.

Source: RAFT_PROTOCOL, "Profiles and identity" [core/errors.ts, core/renderer.ts].
"""

from __future__ import annotations

import sys


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


def complain(error: CliError) -> None:
    lines = [f"Error: {error}", f"Code: {error.code}", *error.labels]
    if error.next_action:
        lines.append(f"Next action: {error.next_action}")
    sys.stderr.buffer.write(("\n".join(lines) + "\n").encode("utf-8", "replace"))
    sys.stderr.buffer.flush()
