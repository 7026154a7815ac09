"""``raftsup completion``: the shell's completion of this command."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_state_dir
from raftsup.cli.context import state_of
from raftsup.config.errors import ConfigError
from raftsup.config.load import load
from raftsup.ops import shell
from raftsup.supervisor import active_accounts

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = "raftsup completion bash --install"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument("shell", choices=[*SHELLS, "accounts"], metavar="SHELL",
                         help=", ".join(SHELLS) + "; accounts: their ids")  # fmt: skip
    command.add_argument("--install", action="store_true", help="write it where it is read")


def run(arguments: argparse.Namespace) -> int:
    if arguments.shell == "accounts":
        print("\n".join(_accounts(arguments)))
        return exit_codes.OK
    script = shell.completion(arguments.whole(), arguments.shell)
    if not arguments.install:
        print(script, end="")
        return exit_codes.OK
    path = shell.completion_path(arguments.shell, os.environ, Path.home())
    install(path, script)
    if arguments.shell == "zsh":
        print(f"in ~/.zshrc, before compinit:  fpath+=({path.parent})")
    return exit_codes.OK


def install(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"{path}: written")


def _accounts(arguments: argparse.Namespace) -> list[str]:
    """Their ids, as far as they are known: a shell that completes wants no complaint."""
    known = active_accounts.read(state_of(arguments))
    if known is None:
        try:
            known = load(None, os.environ).accounts
        except ConfigError:
            known = []
    return [account.id for account in known]
