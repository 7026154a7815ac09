"""What a check finds, in words for the person who has to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from raftsup.errors import RaftsupError

#: Mends it; what it did, in words. Raises ``NotMended`` or ``OSError`` with nothing changed.
Fix = Callable[[], str]


class NotMended(RaftsupError):
    """It cannot be mended now; the message says why."""


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
    #: The command to type, as it is; "" where no command mends it.
    mend: str = ""
    #: What to do without one, or what else would mend it.
    advice: str = ""
    fix: Fix | None = field(default=None, compare=False, repr=False)

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        words = {name: getattr(self, name) for name in ("what", "why", "mend", "advice")}
        return {"severity": str(self.severity), **words, "fixable": self.fix is not None}


def good(what: str, fix: Fix | None = None) -> Finding:
    return Finding(Severity.GOOD, what, fix=fix)


def warning(
    what: str, why: str, mend: str = "", fix: Fix | None = None, *, advice: str = ""
) -> Finding:
    return Finding(Severity.WARNING, what, why, mend, advice, fix)


def bad(
    what: str, why: str, mend: str = "", fix: Fix | None = None, *, advice: str = ""
) -> Finding:
    return Finding(Severity.BAD, what, why, mend, advice, fix)
