"""Numbers of seconds, as they are typed."""

from __future__ import annotations

import argparse
import math

_DAY = 86400


def seconds(text: str) -> float:
    """0 or more."""
    number = _number(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: write seconds, 0 or more")
    return number


def a_while(text: str) -> float:
    """More than 0, at most a day."""
    number = _number(text)
    if not 0 < number <= _DAY:
        raise argparse.ArgumentTypeError(f"{text!r}: write seconds, more than 0, at most {_DAY}")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
