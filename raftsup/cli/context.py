"""What most commands need: the state folder and the config that the command line means."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from raftsup.config.load import ConfigError, load
from raftsup.config.model import Config
from raftsup.config.problems import Problem
from raftsup.paths import StateDir, default_state_dir


def state_of(arguments: argparse.Namespace) -> StateDir:
    chosen: Path | None = arguments.state_dir
    return StateDir(chosen.expanduser().absolute() if chosen else default_state_dir(os.environ))


def loader_of(arguments: argparse.Namespace) -> Callable[[], Config]:
    """Reads the config anew at each call, always from the same place. Raises ``ConfigError``."""
    within, environ = loader_within(arguments), dict(os.environ)
    return lambda: within(environ)


def loader_within(arguments: argparse.Namespace) -> Callable[[Mapping[str, str]], Config]:
    """The same, within an environment that is given at each call."""
    overrides = dict(_setting(text) for text in arguments.settings)
    path = arguments.config.expanduser().absolute() if arguments.config else None
    return lambda environ: load(path, environ, overrides)


def _setting(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals:
        raise ConfigError([Problem(f"--set {text}", "has no value", "write --set PATH=VALUE")])
    return path, value


def colour_wanted() -> bool:
    """Whether to colour standard output: a terminal that knows colours, without ``NO_COLOR``."""
    dumb = os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not dumb and not os.environ.get("NO_COLOR")
