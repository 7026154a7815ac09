"""The environment variables that begin as raftsup's own do, and those that nobody reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from raftsup.config.schema import SECTIONS, variable

_PREFIX = "RAFTSUP_"
SETTINGS = frozenset(
    variable(name, key) for name, section in SECTIONS.items() for key in section.settings
)
#: Beside the settings: where things lie, what a host leaves to its successor, and what the agent of
#: a turn is given.
OTHERS = frozenset(
    _PREFIX + name
    for name in (
        "NAME", "CONFIG_PATH", "STATE_DIR", "LEFT_CONFIG", "LEFT_LOCK",
        "TURN", "ATTEMPT", "ACCOUNT", "LANE", "ACTIVITY_URL", "ACTIVITY_TOKEN",
    )
)  # fmt: skip


def mistyped(environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable that looks like one of raftsup's, and is none. A config may take
    a secret from a variable with any name: one that is like no other is left alone.
    """
    known = SETTINGS | OTHERS
    for name in sorted(set(environ) - known):
        if name.startswith(_PREFIX):
            for near in difflib.get_close_matches(name, known, 1, 0.85):
                yield f"{name} in the environment is read by nobody: did you mean {near}?"
