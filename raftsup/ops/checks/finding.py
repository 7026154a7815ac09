"""What a check finds, in words for the person who has to fix it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from raftsup.errors import RaftsupError

#: Mends it; what it did, in words. Raises ``NotFixed`` or ``OSError`` with nothing changed.
Repair = Callable[[], str]


class NotFixed(RaftsupError):
    """It cannot be fixed now; the message says why."""


class Severity(StrEnum):
    GOOD = "good"
    #: Works, and will not for ever; or cannot be judged from here.
    WARNING = "warning"
    #: Something that the config asks for does not work, or is open to others.
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    severity: Severity
    #: What is so, and of whom: account, path, pid.
    what: str
    #: What it does to the host or its accounts.
    why: str = ""
    #: The command to type, as it is; "" where no command fixes it.
    fix: str = ""
    #: What to do without one, or what else would fix it.
    advice: str = ""
    repair: Repair | None = field(default=None, compare=False, repr=False)

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        words = {name: getattr(self, name) for name in ("what", "why", "fix", "advice")}
        return {"severity": str(self.severity), **words, "fixable": self.repair is not None}


def good(what: str, repair: Repair | None = None) -> Finding:
    return Finding(Severity.GOOD, what, repair=repair)


def warning(
    what: str, why: str, fix: str = "", repair: Repair | None = None, *, advice: str = ""
) -> Finding:
    return Finding(Severity.WARNING, what, why, fix, advice, repair)


def bad(
    what: str, why: str, fix: str = "", repair: Repair | None = None, *, advice: str = ""
) -> Finding:
    return Finding(Severity.BAD, what, why, fix, advice, repair)
