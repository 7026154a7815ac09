"""The bridge's lock file, with the true CLI's weaknesses kept.

A lock whose pid is dead is taken over. A pid that lives, whoever has it now, and a file that is
empty or corrupt hold the lock for ever. Source: RAFT_PROTOCOL, "Starting the bridge"
[agentCommsCore/bridge.ts].
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from raftsup.sim import js


class LockHeld(Exception):
    """Another bridge has the lock, or nobody can tell that none has."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


def stale(text: str, alive: Callable[[int], bool]) -> bool:
    """Whether a lock file with this text may be taken over."""
    try:
        owner = json.loads(text)
    except ValueError:
        return False
    pid = owner.get("pid") if isinstance(owner, dict) else None
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    return not alive(pid)


def pid_alive(pid: int) -> bool:
    """Whether signal 0 finds anybody, a zombie included, as the true CLI asks."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def acquire(path: Path, owner: Mapping[str, object]) -> None:
    """Create the lock at ``path``. Raises ``LockHeld``."""
    for retried in (False, True):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if retried or not stale(_text(path), pid_alive):
                raise LockHeld(path) from None
            # Another start may take it in the same moment: O_EXCL decides between us.
            path.unlink(missing_ok=True)
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(js.dumps(owner, indent=2) + "\n")
        return


def release(path: Path, owner: Mapping[str, object]) -> None:
    """Remove the lock if it is ``owner``'s."""
    try:
        held = json.loads(_text(path))
    except ValueError:
        return
    if isinstance(held, dict) and held.get("ownerId") == owner["ownerId"]:
        path.unlink(missing_ok=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
