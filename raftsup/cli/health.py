"""``raftsup health``: one line and an exit code, for monitors."""

from __future__ import annotations

import argparse
from dataclasses import asdict

import orjson

from raftsup import exits
from raftsup.cli.context import loader_of, state_of
from raftsup.cli.output import here
from raftsup.ops.health import Word, look

_CODES = {
    Word.OK: exits.OK,
    Word.NOT_READY: exits.NOT_READY,
    Word.NOT_RUNNING: exits.NOT_RUNNING,
    Word.UNKNOWN: exits.STATE_DIR,
}


def run(arguments: argparse.Namespace) -> int:
    health = look(state_of(arguments), loader_of(arguments))
    print(orjson.dumps(asdict(health)).decode() if arguments.json else here(health.line))
    return _CODES[health.word]
