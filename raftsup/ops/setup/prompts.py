"""Asking a person, or taking what the flags and defaults say where nobody is to be asked.

Plain lines on standard input and output: the same over ssh, in tmux and through a pipe.
"""

from __future__ import annotations

import contextlib
import getpass
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from raftsup import exit_codes
from raftsup.errors import RaftsupError

#: Why an answer will not do; None: it will.
Wrong = Callable[[str], str | None]


def anything(_: str) -> None:
    """Nothing is wrong with it."""


class Missing(RaftsupError):
    """Nobody is to be asked, and this has no default; the message names the flag."""

    exit_code = exit_codes.USAGE


class Ask(Protocol):
    #: Whether there is a person who can do better.
    person: bool

    def text(self, question: str, default: str | None, flag: str, wrong: Wrong = anything) -> str:
        """A line of text that ``wrong`` has nothing against. ``flag``: what says it where nobody
        is asked; raises ``Missing``.
        """

    def sure(self, question: str, *, default: bool, unasked: bool) -> bool:
        """Yes or no; ``unasked``: the answer where nobody is asked."""

    def choose(self, question: str, options: Sequence[str], default: int, flag: str) -> int:
        """The index of one of ``options``."""

    def secret(self, question: str, flag: str) -> str:
        """A line that is not shown as it is typed. ``flag``: as in ``text``."""

    def say(self, text: str = "") -> None: ...


class Person:
    """Somebody at standard input. ``EOFError`` and ``KeyboardInterrupt`` pass."""

    person = True

    def text(self, question: str, default: str | None, flag: str, wrong: Wrong = anything) -> str:
        shown = f" [{default}]" if default else ""
        while True:
            given = self._line(f"{question}{shown}: ") or default
            if given is None:
                self.say("  Please write something; Ctrl-C ends it.")
            elif reason := wrong(given):
                self.say(f"  {reason}.")
            else:
                return given

    def sure(self, question: str, *, default: bool, unasked: bool) -> bool:
        while True:
            given = self._line(f"{question} [{'Y/n' if default else 'y/N'}]: ").lower()
            if not given:
                return default
            if given in ("y", "yes", "n", "no"):
                return given[0] == "y"
            self.say("  Please write y or n.")

    def choose(self, question: str, options: Sequence[str], default: int, flag: str) -> int:
        self.say(f"{question}:")
        for number, option in enumerate(options, 1):
            self.say(f"  {number}) {option}")
        while True:
            given = self.text("Number", str(default + 1), flag)
            if given.isdecimal() and 1 <= int(given) <= len(options):
                return int(given) - 1
            self.say(f"  Please write a number from 1 to {len(options)}.")

    def secret(self, question: str, flag: str) -> str:
        if sys.stdin is not None and sys.stdin.isatty():
            return getpass.getpass(f"{question}: ").strip()
        return self._line(f"{question}: ")

    def _line(self, prompt: str) -> str:
        if sys.stdin is None:
            raise EOFError
        while True:
            with contextlib.suppress(UnicodeDecodeError):
                given = input(prompt).strip()
                if given.isprintable():
                    return given
            # The terminal sends an arrow key as characters, and they would be in the config.
            self.say("  There is more in that than letters; please write it again.")

    def say(self, text: str = "") -> None:
        print(text, flush=True)


class Unasked:
    """Nobody is asked: ``--yes``."""

    person = False

    def text(self, question: str, default: str | None, flag: str, wrong: Wrong = anything) -> str:
        if default is None:
            raise Missing(f"{question}: write it as {flag}, or leave out --yes to be asked")
        return default

    def sure(self, question: str, *, default: bool, unasked: bool) -> bool:
        return unasked

    def choose(self, question: str, options: Sequence[str], default: int, flag: str) -> int:
        raise Missing(f"{question}: write it as {flag}, or leave out --yes to be asked")

    def secret(self, question: str, flag: str) -> str:
        raise Missing(f"{question}: give it by {flag}, or leave out --yes to be asked")

    def say(self, text: str = "") -> None:
        print(text, flush=True)
