"""``raftsup man``: the manual page."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from raftsup import __version__, exit_codes
from raftsup.cli.arguments import add_state_dir
from raftsup.cli.completion import install
from raftsup.ops import shell

EXAMPLES = "raftsup man --install"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument("--install", action="store_true", help="write it where man finds it")


def run(arguments: argparse.Namespace) -> int:
    page = shell.manual(arguments.whole(), __version__)
    if arguments.install:
        install(shell.manual_path(os.environ, Path.home()), page)
    elif sys.stdout.isatty() and shutil.which("man"):
        return subprocess.run(["man", "-l", "-"], input=page, text=True, check=False).returncode
    else:
        print(page, end="")
    return exit_codes.OK
