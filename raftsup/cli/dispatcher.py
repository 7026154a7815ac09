"""``raftsup dispatcher``: the dispatcher by itself, for a stock supervisord."""

from __future__ import annotations

import argparse
import os

from setproctitle import setproctitle

from raftsup import log
from raftsup.cli.context import loader_of, state_of
from raftsup.dispatcher import main as dispatcher
from raftsup.proc.linux import die_with_parent


def run(arguments: argparse.Namespace) -> int:
    load, state = loader_of(arguments), state_of(arguments)
    config = load()
    state.prepare()
    setproctitle("raftsup: dispatcher")
    die_with_parent(os.getppid())
    log.start(dispatcher.PROGRAM)
    return dispatcher.run(config, load, state, dict(os.environ))
