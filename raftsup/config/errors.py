"""What is wrong with a config, where, and what to write instead: all of it at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from raftsup import exit_codes
from raftsup.errors import RaftsupError

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class Problem:
    #: File and path in the file, or the variable, or the flag.
    where: str
    what: str
    #: What to write instead.
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.hint}"


class ConfigError(RaftsupError):
    """The config cannot be used. The text has one problem a line and no secret."""

    exit_code = exit_codes.CONFIG

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ExternalText(str):
    """Text that came from outside of the file and may be a secret.

    ``written`` is what stands in its place where people read: the file's own ``${VAR}``.
    """

    written: str

    def __new__(cls, value: str, written: str = "***") -> ExternalText:
        text = super().__new__(cls, value)
        text.written = written
        return text

    def trimmed(self) -> ExternalText:
        return ExternalText(self.strip(), self.written)


@dataclass(frozen=True)
class Location:
    """A value's place: ``source`` is the file (or variable, or flag), ``keys`` lead to it."""

    source: str
    keys: tuple[str | int, ...] = ()

    def at(self, *keys: str | int) -> Location:
        return Location(self.source, self.keys + keys)

    @property
    def path(self) -> str:
        """Like ``channels.raft.accounts.support.agent.command[0]``."""
        parts = []
        for key in self.keys:
            if isinstance(key, int):
                parts.append(f"[{key}]")
            elif _PLAIN_KEY.fullmatch(key):
                parts.append(f".{key}")
            else:
                parts.append(f"[{quoted(key)}]")
        return "".join(parts).removeprefix(".")

    def __str__(self) -> str:
        return f"{self.source}: {self.path}" if self.keys else self.source


@dataclass
class ErrorCollector:
    """Collects problems, so that a reader repairs all of them in one go."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, place: Location, what: str, hint: str) -> None:
        self.problems.append(Problem(str(place), what, hint))

    def raise_if_any(self) -> None:
        if self.problems:
            raise ConfigError(self.problems)


def quoted(text: str) -> str:
    """One printable line of quoted text, whatever is in it."""
    written = text.written if isinstance(text, ExternalText) else str(text)
    if len(written) > _SHOWN_CHARACTERS:
        written = written[: _SHOWN_CHARACTERS - 3] + "..."
    return json.dumps(written, ensure_ascii=not written.isprintable())


def kind(value: object) -> str:
    """What a value is, without a character of it: it may be a key or a password."""
    return _KINDS.get(type(value), "a text")


_KINDS: dict[type, str] = {
    dict: "an object", list: "a list", bool: "a truth value", int: "a number",
    float: "a number", type(None): "null",
}  # fmt: skip


def shown(value: object) -> str:
    """A setting's value as an error may show it: short, never what a variable resolved to."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int) and value.bit_length() > 64:
        # Python refuses to print integers of thousands of digits.
        return "a huge number"
    return json.dumps(value) if isinstance(value, bool | int | float) else kind(value)
