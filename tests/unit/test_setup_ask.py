"""What a person types, as setup takes it."""

from __future__ import annotations

import pytest

from raftsup.ops.setup.prompts import Person


def test_a_key_that_is_no_letter_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = iter(["sup\x1b[Dport", "\udcff", b"\xff", " support "])

    def line(prompt: str) -> str:
        said = next(given)
        return said if isinstance(said, str) else said.decode()

    monkeypatch.setattr("builtins.input", line)
    assert Person().text("Profile", None, "--profile") == "support"
    assert capsys.readouterr().out.count("write it again") == 3


def test_nobody_is_there_where_standard_input_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(EOFError):
        Person().sure("So", default=True, unasked=True)
