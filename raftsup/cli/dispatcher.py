"""``raftsup dispatcher``: the dispatcher by itself, for a stock supervisord."""

from __future__ import annotations

import argparse
import os
from typing import Any

from setproctitle import setproctitle

from raftsup import log
from raftsup.cli.arguments import add_config, add_state_dir
from raftsup.cli.context import loader_of, state_of
from raftsup.dispatcher import main as dispatcher
from raftsup.proc.linux import die_with_parent

EXAMPLES = "raftsup dispatcher"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_config(command)


def run(arguments: argparse.Namespace) -> int:
    load, state = loader_of(arguments), state_of(arguments)
    config = load()
    state.prepare()
    setproctitle("raftsup: dispatcher")
    die_with_parent(os.getppid())
    log.start(dispatcher.PROGRAM)
    return dispatcher.run(config, load, state, dict(os.environ))
