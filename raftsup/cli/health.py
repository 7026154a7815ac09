"""``raftsup health``: one line and an exit code, for monitors."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

import orjson

from raftsup import exit_codes
from raftsup.cli.arguments import add_config, add_json, add_state_dir
from raftsup.cli.context import loader_of, state_of
from raftsup.cli.output import here
from raftsup.ops.health import Word, look

_CODES = {
    Word.OK: exit_codes.OK,
    Word.NOT_READY: exit_codes.NOT_READY,
    Word.NOT_RUNNING: exit_codes.NOT_RUNNING,
    Word.UNKNOWN: exit_codes.STATE_DIR,
}

EXAMPLES = """\
raftsup health
raftsup health --json | jq -r .worst.account"""


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_config(command)
    add_json(command)


def run(arguments: argparse.Namespace) -> int:
    health = look(state_of(arguments), loader_of(arguments))
    print(orjson.dumps(asdict(health)).decode() if arguments.json else here(health.line))
    return _CODES[health.word]
