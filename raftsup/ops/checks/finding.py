"""What a check finds, in words for the person who has to fix it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
    FAIL = "fail"
    #: There was nothing to try.
    UNTRIED = "untried"


#: Before what was found, in a list that a person reads.
WORDS = {Severity.GOOD: "good", Severity.WARNING: "note", Severity.FAIL: "FAIL",
         Severity.UNTRIED: "-   "}  # fmt: skip


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
    #: The accounts that it is about; none: the whole host.
    accounts: tuple[str, ...] = ()
    #: The one thing that is worth a word where all is well.
    brief: str = ""
    #: The same for programs, as far as its check has a form for it.
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def of(self, *accounts: str) -> Finding:
        return replace(self, accounts=accounts)

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        words = {name: getattr(self, name) for name in ("what", "why", "fix", "advice")}
        return {"severity": str(self.severity), **words, "fixable": self.repair is not None}


def good(what: str, repair: Repair | None = None, *, brief: str = "") -> Finding:
    return Finding(Severity.GOOD, what, repair=repair, brief=brief)


def untried(what: str) -> Finding:
    return Finding(Severity.UNTRIED, what)


def warning(
    what: str, why: str, fix: str = "", repair: Repair | None = None, *, advice: str = ""
) -> Finding:
    return Finding(Severity.WARNING, what, why, fix, advice, repair)


def fail(
    what: str, why: str, fix: str = "", repair: Repair | None = None, *, advice: str = ""
) -> Finding:
    return Finding(Severity.FAIL, what, why, fix, advice, repair)
