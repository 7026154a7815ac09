"""``raftsup inspect``: all that is known of one account."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_config, add_json, add_state_dir
from raftsup.cli.context import account_id, loader_of, state_of
from raftsup.cli.output import print_json
from raftsup.ops import inspect, raft_place

EXAMPLES = "raftsup inspect support"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_config(command)
    command.add_argument("account")
    add_json(command)


def run(arguments: argparse.Namespace) -> int:
    id_ = account_id(arguments.account)
    state = state_of(arguments)
    environ = raft_place.environment(state, os.environ)
    found = inspect.collect(id_, state, loader_of(arguments), environ)
    if arguments.json:
        print_json(found)
    else:
        print(inspect.page(found, time.time()), end="")
    return exit_codes.OK
