"""What the CLI keeps of an agent between two commands: drafts, and what it has read of a target.

Below the user's folder of the CLI, folders 0700, files 0600. Source: commands/message/
_continueDraftState.ts, _consumedSeqState.ts, _privateStateFile.ts.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raftsup.sim import cli_errors, folders, js

#: A draft is forgotten after so many milliseconds.
_DRAFT_MS = 10 * 60 * 1000


class LocalState:
    def __init__(self, environ: Mapping[str, str], agent_id: str) -> None:
        self._environ, self._agent_id = environ, agent_id

    def draft(self, target: str) -> dict[str, Any] | None:
        found = _targets(self._drafts()).get(target)
        if not isinstance(found, dict) or not isinstance(found.get("content"), str):
            return None
        return found if _now() - found.get("savedAt", 0) <= _DRAFT_MS else None

    def keep(self, target: str, body: Mapping[str, Any]) -> None:
        draft = {
            "content": body["content"],
            "attachmentIds": [],
            "savedAt": _now(),
            "reholdCount": body["draftReholdCount"],
        }
        if "seenUpToSeq" in body:
            draft["seenUpToSeq"] = body["seenUpToSeq"]
        path = self._drafts()
        _write(path, {"targets": {**_targets(path), target: draft}})

    def forget(self, target: str) -> None:
        path = self._drafts()
        drafts = _targets(path)
        if drafts.pop(target, None) is not None:
            _write(path, {"targets": drafts})

    def seen(self, target: str) -> int | None:
        """The newest message that a command has shown of a target."""
        return _seq(_targets(self._consumed()).get(target))

    def saw(self, target: str, seq: int | None) -> None:
        """A command has shown all up to ``seq``; None: nothing, and it is the latest read yet."""
        path = self._consumed()
        targets, order = _targets(path), _read(path).get("nextReadOrder", 1)
        newest = max(seq or 0, _seq(targets.get(target)) or 0)
        record = {"seq": newest, "readOrder": order} if newest else {"readOrder": order}
        _write(path, {"targets": {**targets, target: record}, "nextReadOrder": order + 1})

    def _drafts(self) -> Path:
        where = self._environ.get("SLOCK_CLI_DRAFT_STATE_DIR")
        return self._path(where, "slock-cli-attested-send", "continue-state.json")

    def _consumed(self) -> Path:
        where = self._environ.get("SLOCK_CLI_CONSUMED_SEQ_STATE_DIR")
        return self._path(where, "slock-cli-consumed-seq", "consumed-seqs.json")

    def _path(self, where: str | None, kind: str, name: str) -> Path:
        """Its folder is made. Raises ``CliError``."""
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self._agent_id):
            raise cli_errors.internal("Invalid local state agent identity")
        homes = (where, *(self._environ.get(n) for n in ("RAFT_HOME", "SLOCK_HOME")))
        chosen = next((home.strip() for home in homes if home and home.strip()), None)
        base = Path(chosen) if chosen else Path.home() / ".slock"
        folder = base / kind / self._agent_id
        folders.make(folder)
        folder.parent.chmod(0o700)
        folder.chmod(0o700)
        return folder / name


def _seq(record: Any) -> int | None:
    seq = record.get("seq") if isinstance(record, dict) else record
    return seq if isinstance(seq, int) and seq > 0 else None


def _targets(path: Path) -> dict[str, Any]:
    found = _read(path).get("targets")
    return found if isinstance(found, dict) else {}


def _read(path: Path) -> dict[str, Any]:
    """What others may read counts for nothing."""
    try:
        if path.lstat().st_mode & 0o077:
            return {}
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}


def _write(path: Path, state: Mapping[str, Any]) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(js.dumps(state))
    fresh.replace(path)


def _now() -> int:
    return int(time.time() * 1000)
