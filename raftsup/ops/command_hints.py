"""Commands that are about the same instance as the one that suggests them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

_IN_WORDS = re.compile(r"(`|&& )(sudo )?raftsup (?!--name |--dev )")
_IN_LINES = re.compile(r"(^ *|`|&& )(sudo )?raftsup (?!--name |--dev )", re.MULTILINE)


def addressed(
    text: str, words: Sequence[str], variables: Mapping[str, str], *, lines: bool = True
) -> str:
    """``text`` with its commands of raftsup as they must be typed.

    ``words``: what was said before the command to choose the instance; ``variables``: what has to
    be set besides, because a flag said it that not every command takes. ``lines``: a line that
    begins with raftsup is a command too, and no sentence.
    """
    command = _IN_LINES if lines else _IN_WORDS
    chosen = "".join(f"{shlex.quote(word)} " for word in words)
    before = "".join(f"{name}={shlex.quote(value)} " for name, value in variables.items())
    return command.sub(lambda found: f"{found[1]}{found[2] or ''}{before}raftsup {chosen}", text)
