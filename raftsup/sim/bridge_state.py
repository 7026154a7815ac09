"""What the bridge keeps on disk: its session, and the hints without a success answer.

``session.json`` holds the core session id and the last hint seen; ``wake-hints.jsonl`` each hint
from before its first POST until a success answer. A bridge killed during a POST so finds the
hint in its ledger and, not yet marked as seen, once more at the server: two POSTs.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

Hint = dict[str, Any]


def state_dir(profile_home: Path, agent_id: str, adapter_instance: str = "default") -> Path:
    """``<profile dir>/agent-comms-core/<agent id>/<adapter instance>``."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in agent_id)
    return profile_home / "agent-comms-core" / (safe[:120] or "unknown") / adapter_instance


class BridgeState:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lock_path = directory / "bridge.lock"
        self._session_path = directory / "session.json"
        self._hints_path = directory / "wake-hints.jsonl"
        session = _json_or_empty(self._session_path)
        self.core_session_id = str(session.get("coreSessionId") or f"core_{uuid.uuid4()}")
        self.last_seen = int(session.get("lastSeenHintSeq") or 0)
        # Kept from the first moment: a replay carries the same one.
        self.saw(self.last_seen)
        self._open = {h["event_id"]: h for h in _lines(self._hints_path)}

    def open_hints(self) -> list[Hint]:
        """Hints without a success answer, the oldest first."""
        return sorted(self._open.values(), key=lambda hint: int(hint["seq"]))

    def begin(self, hint: Hint) -> None:
        """Before a POST."""
        if hint["event_id"] not in self._open:
            self._open[hint["event_id"]] = hint
            self._write_hints()

    def forget(self, hint: Hint) -> None:
        """After a success answer."""
        if self._open.pop(hint["event_id"], None) is not None:
            self._write_hints()

    def saw(self, seq: int) -> None:
        """After the answer, whatever it was."""
        self.last_seen = max(self.last_seen, seq)
        session = {"coreSessionId": self.core_session_id, "lastSeenHintSeq": self.last_seen}
        _write(self._session_path, json.dumps(session))

    def _write_hints(self) -> None:
        lines = [json.dumps(hint) + "\n" for hint in self.open_hints()]
        _write(self._hints_path, "".join(lines))


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    fresh.replace(path)


def _json_or_empty(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}


def _lines(path: Path) -> list[Hint]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError):
        return []
