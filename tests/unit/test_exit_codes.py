"""Each command's help tells every code that the command may end with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raftsup import exit_codes
from raftsup.cli._parser import COMMANDS, EXIT_CODES, parser
from raftsup.ops.shell import parsers

CLI = Path(__file__).parents[2] / "raftsup" / "cli"
HELP = {words: command for words, command in parsers(parser(whole=True)) if words.count(" ") == 1}
ALWAYS = {exit_codes.OK, exit_codes.FAILED, exit_codes.USAGE}


def test_each_code_has_a_meaning() -> None:
    codes = {value for value in vars(exit_codes).values() if type(value) is int}
    assert set(exit_codes.MEANINGS) == codes


@pytest.mark.parametrize("name", [name for name in COMMANDS if (CLI / f"{name}.py").exists()])
def test_a_help_tells_the_codes_that_its_module_names(name: str) -> None:
    named = re.findall(r"exit_codes\.([A-Z_]+)", (CLI / f"{name}.py").read_text())
    wanted = {getattr(exit_codes, word) for word in named} | ALWAYS
    assert wanted <= ALWAYS | set(EXIT_CODES.get(name, ()))
    epilog = HELP[f"raftsup {name}"].epilog or ""
    for code in wanted:
        assert f"  {code:>3}  {exit_codes.MEANINGS[code]}\n" in f"{epilog}\n"
