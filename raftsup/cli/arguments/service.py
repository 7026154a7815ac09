"""The host as a service, its instances, and what a shell wants to know of the command."""

from __future__ import annotations

import argparse
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from raftsup import paths
from raftsup.cli.arguments.adder import Adder
from raftsup.cli.arguments.seconds import seconds

SHELLS = ("bash", "zsh", "fish")


def add(add: Adder) -> None:
    install = add("install", "install", "run it as a service from now on: systemd, launchd",
                  "raftsup install && raftsup start")  # fmt: skip
    _scope(install, "for this user (the default)", "for the machine, from boot; needs root")
    install.add_argument("--config", type=Path, metavar="FILE", help="the service's config file")
    install.add_argument("--run-as", metavar="USER",
                         help="of a system service (default: whoever called sudo)")  # fmt: skip
    install.add_argument("--dry-run", action="store_true", help="show the unit, write nothing")
    install.add_argument("--force", action="store_true", help="write over one that differs")
    _name(install)
    uninstall = add("uninstall", "uninstall", "stop the service and remove it; config and state"
                    " stay", "raftsup uninstall")  # fmt: skip
    _scope(uninstall, "only if it is this user's", "only if it is the machine's")
    uninstall.add_argument("--dry-run", action="store_true", help="say what would be done")
    uninstall.add_argument("--force", action="store_true", help="also one that we did not write")
    _name(uninstall)
    add("start", "start", "start the host in the background, as its service if it has one",
        "raftsup start && raftsup status")  # fmt: skip
    restart = add("restart", "restart", "stop and start it, as its service if it has one",
                  "raftsup restart")  # fmt: skip
    restart.add_argument("--timeout", type=seconds, default=90.0, metavar="SECONDS",
                         help="how long to wait for its end (default 90)")  # fmt: skip
    completion = add("completion", "completion", "the shell's completion of this command",
                     "raftsup completion bash --install")  # fmt: skip
    completion.add_argument("shell", choices=[*SHELLS, "accounts"], metavar="SHELL",
                            help=", ".join(SHELLS) + "; accounts: their ids")  # fmt: skip
    completion.add_argument("--install", action="store_true", help="write it where it is read")
    man = add("man", "man", "the manual page", "raftsup man --install")
    man.add_argument("--install", action="store_true", help="write it where man finds it")


def instance_arguments(parser: argparse.ArgumentParser) -> None:
    """The words before a command that choose the instance it is about."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--name", dest="instance", type=_instance, metavar="NAME",
                       help="the instance NAME: its own folders and service")  # fmt: skip
    which.add_argument("--dev", action="store_true", help="the throwaway instance of `up --dev`")


def choose_instance(arguments: argparse.Namespace, environ: MutableMapping[str, str]) -> None:
    """Have ``environ`` name the instance that the command line chose.

    The flag counts for more than folders in the environment, which may be another instance's.
    """
    if arguments.instance:
        environ["RAFTSUP_NAME"] = arguments.instance
    elif arguments.dev:
        from raftsup.ops import dev

        environ.update(dev.variables(dev.root(environ)))
        return
    else:
        return
    for name in ("RAFTSUP_STATE_DIR", "RAFTSUP_CONFIG_PATH"):
        environ.pop(name, None)


def _name(command: Any) -> None:
    # On either side of the command.
    command.add_argument("--name", dest="instance", type=_instance, default=argparse.SUPPRESS,
                         metavar="NAME", help="the instance NAME (default: raftsup)")  # fmt: skip


def _instance(text: str) -> str:
    if not paths.INSTANCE_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: a name has letters, digits, - and _, at most 32 and a letter or digit first"
        )
    return text


def _scope(command: Any, user: str, system: str) -> None:
    scope = command.add_mutually_exclusive_group()
    for word, text in (("user", user), ("system", system)):
        scope.add_argument(f"--{word}", dest="scope", action="store_const", const=word, help=text)
