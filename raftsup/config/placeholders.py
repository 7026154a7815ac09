"""Configs read where variables that they name are not set: the host, or its service, has them.

A placeholder stands for each, so that the rest of the config can be used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from raftsup.config.errors import ConfigError, Problem
from raftsup.config.model import Agent, Config
from raftsup.config.reader import unset_variable

_PREFIX = "raftsup-unset-"


def with_placeholders(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """``environ``, and a placeholder for each of ``names``."""
    return {**environ, **{name: _PREFIX + name for name in names}}


def load_with_placeholders(
    load: Callable[[Mapping[str, str]], Config], environ: Mapping[str, str]
) -> tuple[Config, tuple[Problem, ...]]:
    """The config within ``environ``, and what is wrong with it there: variables that it names and
    ``environ`` has not.

    Raises ``ConfigError``, without what is wrong with a placeholder itself.
    """
    try:
        return load(environ), ()
    except ConfigError as error:
        names = unset_names(error.problems)
        if not names:
            raise
        try:
            return load(with_placeholders(environ, names)), tuple(error.problems)
        except ConfigError:
            raise error from None


def unset_names(problems: Iterable[Problem]) -> list[str]:
    """The variables that are wanting, each once."""
    told = [unset_variable(problem) for problem in problems]
    return list(dict.fromkeys(name for name in told if name))


def placeholders_in(agent: Agent | None) -> list[str]:
    """The variables that ``agent`` takes and that have a placeholder, each once."""
    held = " ".join(str(value) for value in vars(agent).values()) if agent else ""
    return sorted(set(re.findall(rf"{_PREFIX}(\w+)", held)))
