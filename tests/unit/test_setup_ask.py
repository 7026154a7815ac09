"""What a person types, as setup takes it."""

from __future__ import annotations

from typing import Any

import pytest

from raftsup.ops.setup.prompts import Person


def test_a_key_that_is_no_letter_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = iter(["sup\x1b[Dport", "\udcff", b"\xff", " support "])

    def line(prompt: str) -> str:
        said: Any = next(given)
        return said if isinstance(said, str) else str(said.decode())

    monkeypatch.setattr("builtins.input", line)
    assert Person().text("Profile", None, "--profile") == "support"
    assert capsys.readouterr().out.count("write it again") == 3


def test_nobody_is_there_where_standard_input_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(EOFError):
        Person().sure("So", default=True, unasked=True)


def test_what_was_said_is_offered_when_the_same_is_asked_again_and_not_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    asked: list[str] = []

    def line(prompt: str) -> str:
        asked.append(prompt)
        return lines.pop(0)

    monkeypatch.setattr("builtins.input", line)
    person = Person()

    def round_of(subject: str, *given: str) -> list[str]:
        lines[:], asked[:] = given, []
        person.about(subject)
        return [
            person.text("Id", "usual", "", lambda text: "no" if text == "bad" else None),
            person.text("Folder", "", ""),
            str(person.choose("Kind", ["x", "y"], 0, "")),
        ]

    assert round_of("1", "bad", "mine", "/f", "2") == ["mine", "/f", "1"]
    assert asked == ["Id [usual]: ", "Id [usual]: ", "Folder: ", "Number [1]: "]
    assert round_of("2", "", "", "") == ["usual", "", "0"]
    person.again()
    assert round_of("1", "", "", "") == ["mine", "/f", "1"]
    assert asked == ["Id [mine]: ", "Folder [/f; - for none]: ", "Number [2]: "]
    assert round_of("1", "", "-", "1") == ["mine", "", "0"]
    person.again()
    assert round_of("1", "", "", "") == ["mine", "", "0"]
    assert round_of("2", "", "", "") == ["usual", "", "0"]
