"""``raftsup man``: the manual page."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from raftsup import __version__, exit_codes
from raftsup.cli.completion import install
from raftsup.cli.main import parser
from raftsup.ops import shell


def run(arguments: argparse.Namespace) -> int:
    page = shell.manual(parser(), __version__)
    if arguments.install:
        install(shell.manual_path(os.environ, Path.home()), page)
    elif sys.stdout.isatty() and shutil.which("man"):
        return subprocess.run(["man", "-l", "-"], input=page, text=True, check=False).returncode
    else:
        print(page, end="")
    return exit_codes.OK
