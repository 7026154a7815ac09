"""What a bench prints: rows of medians with their spread, and the aims they are held against."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


class BenchError(Exception):
    """A case could not be measured; the message says which process did not do what."""


@dataclass(frozen=True)
class Row:
    """One figure: the middle of ``n`` values, and the quartiles around it."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    n: int
    #: At most this is aimed at.
    aim: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.aim is None else self.value <= self.aim


@dataclass(frozen=True)
class Case:
    title: str
    #: What is counted, from which moment to which.
    counted: str
    rows: tuple[Row, ...]


def tell(what: str) -> None:
    """Say to a person who waits what is measured now."""
    if sys.stderr.isatty():
        print(f"measuring: {what}", file=sys.stderr, flush=True)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie, one of the measured ones."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def row(
    name: str,
    values: Sequence[float],
    unit: str,
    *,
    scale: float = 1.0,
    aim: float | None = None,
    share: float = 0.5,
) -> Row:
    """The ``share`` quantile (by default the median) of ``values`` times ``scale``."""
    scaled = [value * scale for value in values]
    middle = statistics.median(scaled) if share == 0.5 else quantile(scaled, share)
    return Row(name, middle, quantile(scaled, 0.25), quantile(scaled, 0.75), unit, len(scaled), aim)


def ms(name: str, seconds: Sequence[float], **more: Any) -> Row:
    return row(name, seconds, "ms", scale=1e3, **more)


def medians(rounds: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.median(values) for values in rounds]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round, so that what disturbs a round disturbs both sides of its ratio."""
    return [a / b for a, b in zip(above, below, strict=True)]


def table(cases: Sequence[Case]) -> str:
    lines = []
    for case in cases:
        lines += ["", case.title, f"  ({case.counted})"]
        for one in case.rows:
            middle = f"{one.value:10.2f} {one.unit:<5}"
            spread = f"{one.low:.2f} .. {one.high:.2f}"
            aim = "" if one.aim is None else f"aim <= {one.aim:g}: {'met' if one.met else 'MISSED'}"
            lines.append(f"  {one.name:<50}{middle} {spread:>18}  n {one.n:<5} {aim}".rstrip())
    return "\n".join(lines)


def as_json(cases: Sequence[Case]) -> list[dict[str, Any]]:
    return [
        {
            "title": case.title,
            "counted": case.counted,
            "rows": [{**asdict(one), "met": one.met} for one in case.rows],
        }
        for case in cases
    ]
