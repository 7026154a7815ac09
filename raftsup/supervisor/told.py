"""What the parent tells of the config in force and its file, as values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftsup.config.problems import Problem
from raftsup.supervisor.changes import Change, command_for


def standing(found: Sequence[Change], refused: Sequence[Problem], *, busy: bool) -> dict[str, Any]:
    """How the config in force stands to its file. ``found``: what differs and matters; ``busy``:
    a change is being applied, so there is nothing to type.
    """
    if refused:
        word, command = "refused", "raftsup config check"
    else:
        word = "differs" if found or busy else "applied"
        command = "" if busy else command_for(found)
    return {
        "state": word,
        "problems": problems(refused),
        "changes": changes(found),
        "next": command,
    }


def changes(found: Sequence[Change]) -> list[dict[str, str]]:
    return [{"path": change.path, "takes": str(change.takes)} for change in found]


def problems(found: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"where": p.where, "what": p.what, "hint": p.hint} for p in found]
