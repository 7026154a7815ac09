"""Showing a status to a person: one screen, a reason beside whatever is not well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raftsup.ops import reload
from raftsup.ops.status import table
from raftsup.ops.status.document import AccountStatus, ProbeStep, Program, Status
from raftsup.terminal import FAINT, GREEN, RED, YELLOW, painted, plain, wrapped

_COLOURS = {
    "ready": GREEN,
    "enabled": GREEN,
    "running": GREEN,
    "ok": GREEN,
    "starting": YELLOW,
    "connecting": YELLOW,
    "stopping": YELLOW,
    "degraded": YELLOW,
    "draining": YELLOW,
    "disabled": FAINT,
    "-": FAINT,
}
_INDENT = "    "
#: Sentences are wrapped here where the output has no width, and never narrower than the least.
_USUAL, _LEAST = 100, 60
#: With more accounts than these, the steps of a probe that are well share a line.
_FEW = 2
_WORDS = {True: "ok", False: "FAIL", None: "-"}


def screen(status: Status, *, colour: bool, width: int | None = None) -> str:
    """The status as text, ending in a newline. ``width``: of the screen; None: there is none."""
    lines = [f"raftsup {status['version']}  {status['stateDir']}"]
    if status["source"] == "config":
        told = "no host runs here: this is what the config says; start it with `raftsup up`"
        lines += [
            *_wrapped(told, width, ""),
            *_ledger(status, width),
            "",
            *_accounts(status, table.WRITTEN, colour, width),
        ]
    else:
        lines += [
            *_program("supervisor", status["supervisor"], colour, width),
            *_program("dispatcher", status["dispatcher"], colour, width),
            *_ledger(status, width),
            *_config(reload.standing_lines(status.get("config")), colour),
            *_raft(status.get("raft", {}).get("reason", "")),
            *_summary(status["accounts"], colour),
            "",
            *_accounts(status, table.RUNNING, colour, width),
        ]
    lines += _removed(status, width)
    if "others" in status:
        lines += ["", *_others(status["others"], width)]
    return "\n".join(lines) + "\n"


def _accounts(
    status: Status, shown: Sequence[table.Column], colour: bool, width: int | None
) -> Iterator[str]:
    head, *rows = table.table(shown, status["accounts"], status["at"], width)
    yield table.joined(head)
    for account, row in zip(status["accounts"], rows, strict=True):
        if colour:
            row[1] = row[1].replace(row[1].strip(), _paint(row[1].strip()), 1)
        yield table.joined(row)
        # Without a host each would be down for the one reason that stands above.
        if account["reason"] and (status["source"] == "host" or account["state"] != "down"):
            yield from _wrapped(account["reason"], width, _INDENT)
        for check in _folded(account.get("probe", ()), len(status["accounts"]) > _FEW):
            word = _WORDS[check["good"]]
            lead = (
                f"{_INDENT}{word:<4} {check['check']:<11} "
                if check["check"]
                else f"{_INDENT}{word:<4} "
            )
            first, *rest = _wrapped(check["text"], width, lead, " " * len(lead))
            yield first.replace(word, _paint(word), 1) if colour else first
            yield from rest


def _removed(status: Status, width: int | None) -> Iterator[str]:
    for left in status.get("removed", ()):
        owed = [f"{left[what]} {what}" for what in ("queued", "running") if left[what]]
        told = (
            f"{left['account']} is no longer in the config, and turns are queued for it:"
            f" {', '.join(owed)}; `raftsup turn list {left['account']}` names them,"
            " `raftsup turn cancel` ends one; they are run if the account comes back"
        )
        yield from _wrapped(told, width, "")


def _folded(checks: Sequence[ProbeStep], fold: bool) -> Iterator[ProbeStep]:
    """The steps that are shown: all, or one line for those that are well before the others."""
    if fold and (well := [check for check in checks if check["good"]]):
        brief = [f"{check['check']} {check['brief']}".strip() for check in well]
        yield {"check": "", "good": True, "text": ", ".join(brief), "brief": ""}
    yield from (check for check in checks if not (fold and check["good"]))


def _others(others: Sequence[Mapping[str, Any]], width: int | None) -> Iterator[str]:
    if not others:
        yield "nothing else of raftsup was found on this machine (best effort)"
        return
    yield "also on this machine (best effort):"
    for other in others:
        yield from _wrapped(f"{other['kind']}: {other['what']}", width, "  ", _INDENT)
        yield from _wrapped(other["hint"], width, _INDENT)


def _wrapped(text: str, width: int | None, first: str, rest: str | None = None) -> list[str]:
    return wrapped(text, max(width or _USUAL, _LEAST), first, rest)


def _program(name: str, program: Program, colour: bool, width: int | None) -> Iterator[str]:
    state = program["state"]
    pid = f"  pid {program['pid']}" if program["pid"] else ""
    again = f"  restarted {count}x" if (count := program.get("restarts", 0)) else ""
    yield f"{name}  {_paint(state) if colour else state}{pid}{again}"
    if program["reason"]:
        yield from _wrapped(program["reason"], width, _INDENT)


def _ledger(status: Status, width: int | None) -> list[str]:
    if not status["ledger"]["reason"]:
        return []
    lines = _wrapped(status["ledger"]["reason"], width, _INDENT)
    return ["ledger      unreadable: wakes and turns are not known", *lines]


def _raft(reason: str) -> list[str]:
    return [f"raft        {plain(reason)}"] if reason else []


def _summary(accounts: Sequence[AccountStatus], colour: bool) -> Iterator[str]:
    """How many are how, where there is something to count."""
    if len(accounts) > 1:
        counted = Counter(account["state"] for account in accounts).most_common()
        told = [f"{number} {_paint(state) if colour else state}" for state, number in counted]
        yield f"accounts    {', '.join(told)}"


def _config(lines: Sequence[str], colour: bool) -> list[str]:
    if not lines:
        return []
    first, *rest = lines
    word, *more = first.split(maxsplit=1)
    shown = painted(word, YELLOW) if colour else word
    return [f"config      {' '.join([shown, *more])}", *(f"    {line}" for line in rest)]


def _paint(state: str) -> str:
    return painted(state, _COLOURS.get(state, RED))
