"""Every ``--help`` ends in examples, and each of them is a command line that is taken."""

from __future__ import annotations

import argparse
import re
import shlex

import pytest

from raftsup.cli._parser import parser
from raftsup.ops.shell import parsers

#: Where a command line ends for the shell: what follows is another program's, or a remark.
_END = re.compile(r"\s(?:\||&&|;|>|#)\s?")


def commands_in(text: str) -> list[list[str]]:
    """The arguments of each ``raftsup`` on the example lines of an epilog."""
    found = []
    for line in text.splitlines():
        line = re.sub("^examples?: ", "  ", line)
        if not line.startswith("  "):
            continue
        for part in re.split(r"&&|\|", line):
            # Two spaces part a remark from the command before it.
            command = re.split(r"\s{2,}", _END.split(part.strip())[0])[0]
            if command.startswith("raftsup"):
                found.append(shlex.split(command)[1:])
    return found


ALL = dict(parsers(parser(whole=True)))


@pytest.mark.parametrize("words", ALL)
def test_a_help_ends_in_examples_that_can_be_typed(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    epilog = ALL[words].epilog or ""
    examples = commands_in(epilog)
    assert examples, f"`{words} --help` has no example"
    for arguments in examples:
        try:
            parsed = parser().parse_args(arguments)
        except SystemExit:
            pytest.fail(f"raftsup {shlex.join(arguments)}: {capsys.readouterr().err}")
        assert isinstance(parsed, argparse.Namespace)
    if words != "raftsup":
        path = words.split()[1:]
        assert any(path == a[: len(path)] for a in examples), f"no example is one of `{words}`"


def test_examples_are_found_and_told_from_remarks() -> None:
    text = "examples:\n  raftsup up -d && raftsup status   look at it\n  raftsup status | jq '.a'\n"
    assert commands_in(text) == [["up", "-d"], ["status"], ["status"]]
