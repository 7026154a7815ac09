"""What most commands need: the state folder, the config and the account that are meant."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path

from raftsup import paths
from raftsup.config.accounts import normalise_id
from raftsup.config.errors import ConfigError, Problem
from raftsup.config.load import load
from raftsup.config.model import Config
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


def choose_instance(arguments: argparse.Namespace, environ: MutableMapping[str, str]) -> None:
    """Have ``environ`` name the instance that the command line chose.

    The flag counts for more than folders in the environment, which may be another instance's.
    """
    if arguments.instance:
        environ["RAFTSUP_NAME"] = arguments.instance
        for name in ("RAFTSUP_STATE_DIR", "RAFTSUP_CONFIG_PATH"):
            environ.pop(name, None)
    elif arguments.dev:
        environ.update(paths.throwaway_variables(paths.throwaway(environ)))


def account_id(text: str) -> str:
    """The id that ``text`` stands for; what can be none is left as it was typed."""
    return normalise_id(text) or text


def chosen_by(arguments: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """The instance that a command line is about, in words before the command and in variables:
    what ``ops.addressed`` takes.
    """
    paths = {
        "RAFTSUP_STATE_DIR": getattr(arguments, "state_dir", None),
        "RAFTSUP_CONFIG_PATH": getattr(arguments, "config", None),
    }
    flags = {name: str(path.expanduser().absolute()) for name, path in paths.items() if path}
    if arguments.dev:
        return ["--dev"], flags
    if arguments.instance and flags:
        # The word --name would count for more than these, the variable does not.
        return [], {"RAFTSUP_NAME": arguments.instance, **flags}
    return ["--name", arguments.instance] if arguments.instance else [], flags


def _setting(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals:
        raise ConfigError([Problem(f"--set {text}", "has no value", "write --set PATH=VALUE")])
    return path, value
