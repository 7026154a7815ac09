"""How a command is added to the parser, the same way for all."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]


class Adder:
    """Adds commands below ``parser``."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def __call__(
        self, name: str, module: str, text: str, example: str, *, config: bool = False
    ) -> Any:
        """A command that ``raftsup.cli.<module>.run`` carries out. ``config``: it reads one."""
        command = self._commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=_examples(example),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=lazily(module))
        command.add_argument("--state-dir", type=Path, metavar="DIR", help="use this state folder")
        if config:
            config_arguments(command)
        return command

    def bare(self, name: str, text: str, example: str) -> Any:
        """A command that brings its own arguments and ``run``."""
        return action(self._commands, name, text, example)


def action(actions: Any, name: str, text: str, example: str) -> Any:
    """A parser below a command: its help says what it does and ends in an example."""
    return actions.add_parser(
        name,
        help=text,
        description=text,
        epilog=_examples(example),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _examples(lines: str) -> str:
    """``lines``: a command line each, as a person types it."""
    shown = "\n".join(f"  {line.strip()}" for line in lines.splitlines())
    return f"examples:\n{shown}" if "\n" in lines else f"example:\n{shown}"


def lazily(module: str) -> Command:
    """Carry out a command by ``raftsup.cli.<module>.run``, imported when it is needed: the
    parent's packages would slow down every ``status``.
    """

    def run(arguments: argparse.Namespace) -> int:
        return int(import_module(f"raftsup.cli.{module}").run(arguments))

    return run


def config_arguments(command: Any, default: Any = None) -> None:
    """``default``: SUPPRESS for an action below a command that has the same options, so that
    they are taken on either side of its name.
    """
    command.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help="use this config file"
    )
    command.add_argument(
        "--set", action="append", default=default or [], metavar="PATH=VALUE", dest="settings",
        help="override a setting, like turns.timeout=5m",
    )  # fmt: skip
