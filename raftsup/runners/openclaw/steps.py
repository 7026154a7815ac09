"""What an ``agent`` event of a Gateway shows of a run: steps, never content. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raftsup.runners import Step


def of(payload: Mapping[str, Any]) -> Step | None:
    """The step that the event's payload tells of, if it tells of one."""
    data = payload.get("data")
    if not isinstance(data, dict):
        return None
    match payload.get("stream"), data.get("phase"):
        case "lifecycle", "start":
            return Step("thinking")
        case "tool", "start":
            return Step("tool_started", str(data.get("name", "")))
        case "tool", "result":
            return Step("tool_ended", str(data.get("name", "")), data.get("isError") is True)
    return None
