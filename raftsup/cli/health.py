"""``raftsup health``: one line and an exit code, for monitors."""

from __future__ import annotations

import argparse
from dataclasses import asdict

import orjson

from raftsup import exit_codes
from raftsup.cli.context import loader_of, state_of
from raftsup.cli.output import here
from raftsup.ops.health import Word, look

_CODES = {
    Word.OK: exit_codes.OK,
    Word.NOT_READY: exit_codes.NOT_READY,
    Word.NOT_RUNNING: exit_codes.NOT_RUNNING,
    Word.UNKNOWN: exit_codes.STATE_DIR,
}


def run(arguments: argparse.Namespace) -> int:
    health = look(state_of(arguments), loader_of(arguments))
    print(orjson.dumps(asdict(health)).decode() if arguments.json else here(health.line))
    return _CODES[health.word]
