"""What the bridge keeps on disk (folder 0700, files 0600).

``session.json``
    The core session id and the last hint seen; written at the end of each pass.
``wake-hints.jsonl``
    Each hint from before its first POST until a success answer. A bridge killed during a POST so
    finds the hint here and, not yet marked as seen, once more at the server: two POSTs.
``proofs.jsonl``
    Each proof; never rotated.
``bridge.log``
    Each event, with or without ``--json``; becomes ``bridge.log.1`` at 5 MB.
``bridge.lock``
    See ``lock``.

Source: RAFT_PROTOCOL, "Starting the bridge" [agentCommsCore/bridge.ts].
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raftsup.sim import folders, js

Hint = dict[str, Any]

LOG_BYTES = 5 * 1024 * 1024
#: Of a hint, what is content is not kept.
_CONTENT = ("content", "body", "text", "message")


def state_dir(
    profile_home: Path, agent_id: str, adapter_instance: str, environ: Mapping[str, str]
) -> Path:
    """Where a bridge that was given no ``--state-dir`` keeps its files."""
    if chosen := environ.get("RAFT_AGENT_BRIDGE_STATE_DIR"):
        return Path(chosen)
    return profile_home / "agent-comms-core" / _segment(agent_id) / _segment(adapter_instance)


def _segment(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9._-]", "_", text)[:120] or "unknown"


def hint_id(hint: Hint) -> str | None:
    for key in ("hintId", "hint_id", "eventId", "event_id", "id"):
        if isinstance(found := hint.get(key), str) and found:
            return found
    return None


def hint_seq(hint: Hint) -> int | None:
    seq = hint.get("seq")
    return seq if isinstance(seq, int) and not isinstance(seq, bool) and seq > 0 else None


def message_id(hint: Hint) -> str:
    """What a wake names as the message: also a hint that names none has one."""
    for key in ("messageId", "message_id"):
        if isinstance(found := hint.get(key), str) and found:
            return found
    if (named := hint_id(hint)) is not None:
        return named
    if (seq := hint_seq(hint)) is not None:
        return f"seq:{seq}"
    target = hint.get("target")
    if isinstance(target, str) and target:
        return f"target:{target}"
    return f"wake-hint:{js.dumps(stripped(hint))}"


def hint_key(hint: Hint) -> str:
    """What makes two hints the same."""
    if (named := hint_id(hint)) is not None:
        return f"id:{named}"
    seq = hint_seq(hint)
    return f"seq:{seq}" if seq is not None else f"hint:{js.dumps(stripped(hint))}"


def stripped(hint: Hint) -> Hint:
    return {k: v for k, v in hint.items() if k not in _CONTENT}


def as_node_says(error: OSError) -> str:
    """An error of the system in the words that the CLI has from its runtime."""
    code = errno.errorcode.get(error.errno or 0, "UNKNOWN")
    told = f"{code}: {(error.strerror or str(error)).lower()}"
    return f"{told}, '{error.filename}'" if error.filename else told


class BridgeState:
    """Anything but the log and a session that cannot be read raises ``OSError``; hints that cannot
    be parsed, ``ValueError``.
    """

    def __init__(self, directory: Path) -> None:
        folders.make(directory)
        self._directory = directory
        self.lock_path = directory / "bridge.lock"
        self._log_path = directory / "bridge.log"
        self._session_path = directory / "session.json"
        self._hints_path = directory / "wake-hints.jsonl"
        self._proofs_path = directory / "proofs.jsonl"

    def session(self) -> tuple[str | None, int | None]:
        """The core session id and the last hint seen, as far as they are known. Each pass begins
        here: a folder that was removed is made anew.
        """
        folders.make(self._directory)
        try:
            raw = json.loads(self._session_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None, None
        raw = raw if isinstance(raw, dict) else {}
        core, seq = raw.get("coreSessionId"), raw.get("lastSeenHintSeq")
        return (core if isinstance(core, str) else None), (seq if isinstance(seq, int) else None)

    def write_session(self, core: str, last_seen: int | None) -> None:
        session: dict[str, object] = {"coreSessionId": core}
        if last_seen is not None:
            session["lastSeenHintSeq"] = last_seen
        _write(self._session_path, js.dumps(session, indent=2) + "\n")

    def hints(self) -> list[Hint]:
        """Hints without a success answer, the oldest first."""
        try:
            lines = self._hints_path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.strip()]

    def keep(self, hint: Hint) -> None:
        """Before a POST."""
        if hint_key(hint) not in map(hint_key, self.hints()):
            _append(self._hints_path, stripped(hint))

    def forget(self, hint: Hint) -> None:
        """After a success answer."""
        pending = self.hints()
        left = [other for other in pending if hint_key(other) != hint_key(hint)]
        if len(left) < len(pending):
            _write(self._hints_path, "".join(js.dumps(one) + "\n" for one in left))

    def prove(self, proof: Mapping[str, object]) -> None:
        _append(self._proofs_path, proof)

    def log(self, event: Mapping[str, object], at: str) -> None:
        """Never fails: what cannot be written is not."""
        with contextlib.suppress(OSError):
            with contextlib.suppress(FileNotFoundError):
                if self._log_path.stat().st_size >= LOG_BYTES:
                    self._log_path.rename(self._log_path.with_name("bridge.log.1"))
            _append(self._log_path, {"ts": at, **event})


def _append(path: Path, record: Mapping[str, object]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
        out.write(f"{js.dumps(record)}\n".encode())


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(text.encode())
