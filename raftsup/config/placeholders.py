"""Configs read where variables that they name are not set: the host, or its service, has them.

A word of ours stands in for each, so that the rest of the config can be used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from raftsup.config.load import ConfigError, Problem
from raftsup.config.model import Agent, Config
from raftsup.config.reader import unset_variable

_WORD = "raftsup-unset-"


def with_stand_ins(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """``environ``, and a word for each of ``names``."""
    return {**environ, **{name: _WORD + name for name in names}}


def load_all_the_same(
    load: Callable[[Mapping[str, str]], Config], environ: Mapping[str, str]
) -> tuple[Config, tuple[Problem, ...]]:
    """The config within ``environ``, and what is wrong with it there: variables that it names and
    ``environ`` has not.

    Raises ``ConfigError``, without what a stand-in itself is wrong for.
    """
    try:
        return load(environ), ()
    except ConfigError as error:
        names = unset_names(error.problems)
        if not names:
            raise
        try:
            return load(with_stand_ins(environ, names)), tuple(error.problems)
        except ConfigError:
            raise error from None


def unset_names(problems: Iterable[Problem]) -> list[str]:
    """The variables that are wanting, each once."""
    told = [unset_variable(problem) for problem in problems]
    return list(dict.fromkeys(name for name in told if name))


def unset_in(agent: Agent | None) -> list[str]:
    """The variables that ``agent`` takes and that have a stand-in, each once."""
    held = " ".join(str(value) for value in vars(agent).values()) if agent else ""
    return sorted(set(re.findall(rf"{_WORD}(\w+)", held)))
