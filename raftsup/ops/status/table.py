"""The table of accounts: what stands in it, and which columns give way to a narrow screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from raftsup.ops.status.document import AccountStatus
from raftsup.turn import State

Facts = AccountStatus
_GAP = "  "
_NONE = "-"


@dataclass(frozen=True)
class Column:
    head: str
    #: The cell of an account at a time (Unix seconds).
    cell: Callable[[Facts, float], str]
    #: The higher, the sooner it gives way; 0: never.
    yields: int = 0
    right: bool = True
    #: Never narrower, so that a screen that is drawn again and again stays still.
    least: int = 0


def age(seconds: float) -> str:
    """``7s``, ``12m``, ``5h``, ``3d``: whole units, rounded down."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def written_state(account: Facts) -> str:
    """What the config makes of an account, where no host runs."""
    state = str(account["state"])
    return "enabled" if state == "down" else state


def _port(account: Facts, _now: float) -> str:
    port = urlsplit(account["endpoint"]["url"] or "").port
    return _NONE if port is None else str(port)


def _wake(account: Facts, now: float) -> str:
    at = account["wakes"]["lastAt"]
    return _NONE if at is None else age(now - at)


def _turn(account: Facts, now: float) -> str:
    last = account["turns"]["last"]
    return _NONE if last is None else f"{last['state']} {age(now - last['at'])}"


def _cut_off(account: Facts, now: float) -> str:
    """Where no dispatcher runs, nothing runs."""
    last = account["turns"]["last"]
    if last is None or last["state"] != State.RUNNING:
        return _turn(account, now)
    return f"cut off {age(now - last['at'])}"


def _restarts(account: Facts, _now: float) -> str:
    """Of its worker and of its bridge: whatever died."""
    return str(account["endpoint"]["restarts"] + account["bridge"]["restarts"])


def _of(*path: str) -> Callable[[Facts, float], str]:
    def cell(account: Facts, _now: float) -> str:
        value: Any = account
        for key in path:
            value = value[key]
        return _NONE if value is None else str(value)

    return cell


#: A name is cut down to so many characters before what one looks for first gives way.
_NAME = 20
#: What gives way before a name is cut.
_BY_THE_WAY = 5
_ACCOUNT = Column("ACCOUNT", _of("account"), right=False)
_LAST_WAKE = Column("LAST WAKE", _wake, 4)
_QUEUED = Column("QUEUED", _of("turns", "queued"), 2)
_LAST_TURN = Column("LAST TURN", _turn, 3, least=len("running 12s"))
#: Eighty columns hold what comes before DONE, with an account's name of twelve letters.
RUNNING = (
    _ACCOUNT,
    Column("STATE", _of("state"), right=False, least=len("degraded")),
    Column("BRIDGE", _of("bridge", "state"), 1, right=False, least=len("listening")),
    Column("PORT", _port, 5, least=5),
    _LAST_WAKE,
    _QUEUED,
    Column("RUN", _of("turns", "running"), 6),
    _LAST_TURN,
    Column("DONE", _of("turns", "done"), 9),
    Column("FAILED", _of("turns", "failed"), 7),
    Column("RESTARTS", _restarts, 8),
    Column("WAKES", _of("wakes", "accepted"), 10),
    Column("DUPL", _of("wakes", "duplicates"), 12),
    Column("REJ", _of("wakes", "rejected"), 11),
)
#: Where no host runs: what the config and the ledger say.
WRITTEN = (
    _ACCOUNT,
    Column("CONFIG", lambda account, _now: written_state(account), right=False),
    Column("PROFILE", _of("profile"), 6, right=False),
    Column("AGENT", _of("agent"), 1, right=False),
    _LAST_WAKE,
    _QUEUED,
    replace(_LAST_TURN, cell=_cut_off),
)


def table(
    columns: Sequence[Column], accounts: Sequence[Facts], now: float, width: int | None
) -> list[list[str]]:
    """The head and a row for each account, as padded cells of at most ``width`` characters a row
    (None: no limit) with a gap between them.

    What is seldom looked for gives way first; then a long name is cut in its middle, then the
    other columns go. State is always whole.
    """
    shown = list(columns)
    sizes = _sizes(shown, accounts, now)
    while width is not None:
        index, first = max(enumerate(shown), key=lambda numbered: numbered[1].yields)
        name = sizes[0] if first.yields >= _BY_THE_WAY else min(sizes[0], _NAME)
        room = width - sum(sizes[1:]) - len(_GAP) * (len(sizes) - 1)
        if not first.yields or name <= room:
            sizes[0] = min(sizes[0], max(room, len(_ACCOUNT.head)))
            break
        del shown[index], sizes[index]
    rows = [[c.head for c in shown], *([c.cell(a, now) for c in shown] for a in accounts)]
    return [
        [
            _short(cell, size).rjust(size) if column.right else _short(cell, size).ljust(size)
            for cell, size, column in zip(row, sizes, shown, strict=True)
        ]
        for row in rows
    ]


def joined(cells: Sequence[str]) -> str:
    return _GAP.join(cells).rstrip()


def _sizes(columns: Sequence[Column], accounts: Sequence[Facts], now: float) -> list[int]:
    return [max(len(c.head), c.least, *(len(c.cell(a, now)) for a in accounts)) for c in columns]


def _short(text: str, size: int) -> str:
    # In the middle: names that begin alike often differ at their end.
    if len(text) <= size:
        return text
    end = (size - 1) // 2
    return f"{text[: size - 1 - end]}…{text[len(text) - end :]}"
