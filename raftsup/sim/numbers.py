"""Numbers as the CLI's language reads them: ``5e3`` and ``0x10`` are numbers."""

from __future__ import annotations

import re

from raftsup.sim.cli_errors import CliError

_OTHER_BASE = re.compile(r"0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")


def number(text: str) -> float | None:
    """None for what is none, an empty text (a zero to that language) not among it."""
    text = text.strip()
    if _OTHER_BASE.fullmatch(text):
        return float(int(text, 0))
    if text == "":
        return 0.0
    if "_" in text or re.search("[a-df-zA-DF-Z]", text):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def positive(text: str | None, label: str, wrong: str = "") -> int | None:
    """A flag's whole number; None where it was not given. Raises ``CliError``."""
    if text is None:
        return None
    found = number(text)
    if found is None or not found.is_integer() or found <= 0:
        raise CliError("INVALID_ARG", wrong or f"--{label} must be a positive integer")
    return int(found)
