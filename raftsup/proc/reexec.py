"""Starting this Python and this package another time."""

from __future__ import annotations

import sys
from pathlib import Path

_FOUND_IN = Path(__file__).parents[1]


def argv(module: str, *words: str) -> list[str]:
    """The command line that runs ``module`` as this process would.

    ``-m`` alone looks for every module in the current folder first: a ``secrets.py`` that lies
    where somebody, or an agent, was at work would be run in place of Python's own. Only where the
    package itself lies there it is meant to be looked into.
    """
    safely = [] if _FOUND_IN.samefile(".") else ["-P"]
    return [sys.executable, *safely, "-m", module, *words]
