"""Commands that are about the same instance as the one that suggests them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from raftsup.ops.doctor.table import Examined

_COMMAND = re.compile(r"(^|`|&& )(sudo )?raftsup (?!--name |--dev )")


def addressed(
    examined: Sequence[Examined], words: Sequence[str], variables: Mapping[str, str]
) -> list[Examined]:
    """``words``: what was said before the command to choose the instance; ``variables``: what has
    to be set besides, because a flag said it that not every command takes.
    """
    chosen = "".join(f"{shlex.quote(word)} " for word in words)
    before = "".join(f"{name}={shlex.quote(value)} " for name, value in variables.items())

    def of(text: str) -> str:
        return _COMMAND.sub(
            lambda found: f"{found[1]}{found[2] or ''}{before}raftsup {chosen}", text
        )

    return [
        replace(
            one,
            findings=tuple(
                replace(finding, mend=of(finding.mend), advice=of(finding.advice))
                for finding in one.findings
            ),
        )
        for one in examined
    ]
