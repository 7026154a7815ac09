"""A mistyped word is answered with what it is like."""

from __future__ import annotations

import pytest

from raftsup import exit_codes
from raftsup.cli._parser import COMMANDS, parser


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stat", ["there is no 'stat'", "did you mean", "status"]),
        ("turn lst", ["there is no 'lst'", "did you mean list?"]),
        ("status --jsn", ["unrecognized arguments: --jsn; did you mean --json"]),
        ("turn show 17 --transcipt", ["did you mean --transcript?"]),
        ("zzz", ["there is no 'zzz'; there are", *COMMANDS]),
        ("logs --level loud", ["--level: there is no 'loud'; there are debug"]),
        ("sim fault drp", ["did you mean drop?"]),
        ("status extra", ["unrecognized arguments: extra"]),
    ],
)
def test_a_mistyped_word(line: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(line.split())
    assert ended.value.code == exit_codes.USAGE
    told = capsys.readouterr().err
    assert all(word in told for word in words), told
