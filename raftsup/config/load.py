"""Where a config comes from: file, environment, flags. Everything is checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from raftsup.config import settings
from raftsup.config.accounts import accounts, check_environment, default_account, selected_profile
from raftsup.config.agents import EXAMPLE, completed
from raftsup.config.errors import ConfigError, ErrorCollector, Location, Problem
from raftsup.config.model import Config
from raftsup.config.reader import parse, read, resolve
from raftsup.config.schema import ROOT, SECTIONS
from raftsup.config.validators import INVALID
from raftsup.paths import default_config_path

__all__ = ["load", "load_text"]

_ACCOUNT = 'profile: "<Raft CLI profile>", agentId: "<Raft agent id>"'
_MINIMAL = f"{{ channels: {{ raft: {{ {_ACCOUNT}, agent: {EXAMPLE} }} }} }}"


def load(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] = MappingProxyType({}),
) -> Config:
    """The config in the file ``path`` (None: where ``default_config_path`` says).

    ``overrides`` are the flags' scalar settings, like ``{"turns.concurrency": "8"}``. A file
    that nobody named may be missing where ``RAFT_PROFILE`` is set. Raises ``ConfigError``
    with every problem that was found.
    """
    usual = default_config_path(environ)
    file = path if path is not None else usual
    named = file != usual or bool(environ.get("RAFTSUP_CONFIG_PATH"))
    try:
        written = read(file)
    except FileNotFoundError:
        if named or not selected_profile(environ)[1]:
            raise _no_file(file) from None
        return _check({}, None, Location(str(file)), environ, overrides)
    return _check(written, file, Location(str(file)), environ, overrides)


def load_text(
    text: str,
    path: Path,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] = MappingProxyType({}),
) -> Config:
    """The config of the file ``path`` once ``text`` stands in it. Raises as ``load``."""
    return _check(parse(text, path), path, Location(str(path)), environ, overrides)


def _no_file(file: Path) -> ConfigError:
    return ConfigError([Problem(
        str(file), "there is no config file",
        f"let `raftsup setup` write one, or write at minimum {_MINIMAL}"
        " (conf/raftsup.example.json5 shows every setting), or name another with"
        " RAFTSUP_CONFIG_PATH",
    )])  # fmt: skip


def _check(
    written: object,
    path: Path | None,
    file: Location,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
) -> Config:
    errors = ErrorCollector()
    whole = completed(resolve(written, environ, file, errors), environ)
    tree = ROOT(whole, file, errors)
    if tree is INVALID:
        tree = {}
    chosen = settings.collect(tree, file, environ, flags, errors)
    place = file.at("channels", "raft")
    channel = tree.get("channels", {}).get("raft", {})
    found = accounts(channel, place, environ, tree.get("turns", {}).get("agent"), errors)
    default = default_account(channel, found, place, errors)
    check_environment(found, environ, errors)
    if not found and not errors.problems:
        errors.add(place.at("accounts"), "there is no account",
                   f"write accounts: {{ support: {{ {_ACCOUNT} }} }}")  # fmt: skip
    errors.raise_if_any()
    return Config(
        path=path,
        accounts=found,
        default_account=default,
        **{name: settings.build(name, chosen) for name in SECTIONS},
    )
