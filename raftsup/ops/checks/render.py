"""The findings on a page, or as a JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from raftsup import __version__
from raftsup.ops.checks.finding import Finding, Severity
from raftsup.ops.checks.registry import Examined
from raftsup.paths import StateDir
from raftsup.terminal import GREEN, RED, YELLOW, painted, wrapped

_COLOURS = {Severity.GOOD: GREEN, Severity.WARNING: YELLOW, Severity.FAIL: RED}
_NARROWEST = 60


def count(examined: Sequence[Examined], severity: Severity) -> int:
    return sum(f.severity is severity for one in examined for f in one.findings)


def whole(
    state: StateDir, examined: Sequence[Examined], fixed: Sequence[str] | None
) -> dict[str, Any]:
    """What ``--json`` prints. ``fixed``: what ``--fix`` did; None: it was not asked for."""
    return {
        "version": __version__,
        "stateDir": str(state.root),
        "failed": count(examined, Severity.FAIL),
        "warnings": count(examined, Severity.WARNING),
        "fixed": fixed,
        "findings": [
            {"check": one.check.name, **finding.document()}
            for one in examined
            for finding in one.findings
        ],
    }


def page(
    state: StateDir,
    examined: Sequence[Examined],
    fixed: Sequence[str] | None,
    *,
    colour: bool,
    width: int,
) -> str:
    """Text, ending in a newline."""
    lines = [f"raftsup {__version__}  {state.root}", ""]
    if fixed is not None:
        lines += [f"fixed: {line}" for line in fixed or ["nothing to fix that is safe"]] + [""]
    name = max(len(one.check.name) for one in examined)
    for one in examined:
        for finding in one.findings:
            lines += _entry(one.check.name.ljust(name), finding, colour, max(width, _NARROWEST))
    return "\n".join([*lines, "", _sum(examined)]) + "\n"


def _entry(check: str, finding: Finding, colour: bool, width: int) -> Iterator[str]:
    word = str(finding.severity).ljust(len(Severity.WARNING))
    head = f"{word}  {check}  "
    first, *more = _wrapped(finding.what, width - len(head))
    shown = painted(word, _COLOURS[finding.severity]) if colour else word
    yield shown + head[len(word) :] + first
    indent = " " * len(head)
    for line in more:
        yield indent + line
    if finding.why:
        for line in _wrapped(f"why:  {finding.why}", width - len(head), "      "):
            yield indent + line
    if finding.fix:
        # In one piece: it is there to be copied.
        yield f"{indent}fix:  {finding.fix}"
    label = "note: " if finding.fix else "fix:  "
    for line in _wrapped(f"{label}{finding.advice}", width - len(head), "      "):
        if finding.advice:
            yield indent + line


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return wrapped(text, max(width, 30), "", indent) or [""]


def _sum(examined: Sequence[Examined]) -> str:
    failed, warnings = count(examined, Severity.FAIL), count(examined, Severity.WARNING)
    if not failed + warnings:
        return "all is well"
    fixable = sum(
        f.repair is not None and f.severity is not Severity.GOOD
        for one in examined
        for f in one.findings
    )
    tail = f"; `raftsup doctor --fix` fixes {fixable} of them" if fixable else ""
    return f"{failed} failed, {warnings} warning{'' if warnings == 1 else 's'}{tail}"
