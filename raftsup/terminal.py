"""Text that others wrote, for a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """Without what would command the terminal or break the line: a blank in its place."""
    return "".join(c if c.isprintable() else " " for c in text)
