"""The doctor's commands, about the same instance as the one that was examined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from raftsup.ops import command_hints as commands
from raftsup.ops.checks.registry import Examined


def addressed(
    examined: Sequence[Examined], words: Sequence[str], variables: Mapping[str, str]
) -> list[Examined]:
    """``words`` and ``variables`` as of ``ops.addressed``."""

    def of(text: str) -> str:
        return commands.addressed(text, words, variables)

    return [
        replace(
            one,
            findings=tuple(
                replace(finding, fix=of(finding.fix), advice=of(finding.advice))
                for finding in one.findings
            ),
        )
        for one in examined
    ]
