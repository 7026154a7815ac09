"""Reading what a worker says of itself: ``worker.status_file`` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson


def read(path: Path) -> dict[str, Any] | None:
    """A worker's last report; None if there is none that can be read. It may outlive its worker:
    believe it only while the pid in it lives.
    """
    try:
        facts = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    good = isinstance(facts, dict) and isinstance(facts.get("bridge", {}), dict)
    return facts if good else None
