"""Folders as the CLI makes them: with all that is missing above, for their owner alone."""

from __future__ import annotations

from pathlib import Path


def make(folder: Path) -> None:
    """Nothing where it is there. Raises ``OSError``."""
    for one in (*reversed(folder.parents), folder):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)
