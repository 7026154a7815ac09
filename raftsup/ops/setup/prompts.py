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
    #: What was changed already and stays, however it ends: sentences.
    done: list[str]

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

    def about(self, subject: str) -> None:
        """What the next questions are about: the same may be asked of several."""

    def again(self) -> None:
        """From here on the same is asked once more: the answers so far are offered."""

    def keep(self, question: str, answer: str) -> None:
        """What is to be offered for a question then, in place of what was typed."""


class Person:
    """Somebody at standard input. ``EOFError`` and ``KeyboardInterrupt`` pass."""

    person = True

    def __init__(self) -> None:
        self.done: list[str] = []
        self._about = ""
        #: By subject and question: the answers of this round, and of the rounds before.
        self._given: dict[tuple[str, str], str] = {}
        self._kept: dict[tuple[str, str], str] = {}

    def text(self, question: str, default: str | None, flag: str, wrong: Wrong = anything) -> str:
        offered = self._kept.get((self._about, question)) or default
        shown = f" [{offered}]" if offered else ""
        if offered and default == "":
            shown = f" [{offered}; - for none]"
        while True:
            given = self._line(f"{question}{shown}: ") or offered
            if given == "-" and default == "":
                given = ""
            if given is None:
                self.say("  Please write something; Ctrl-C ends it.")
            elif reason := wrong(given):
                self.say(f"  {reason}.")
            else:
                self.keep(question, given)
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
        kept = self._kept.get((self._about, question))
        offered = str((options.index(kept) if kept in options else default) + 1)
        while True:
            given = self._line(f"Number [{offered}]: ") or offered
            if given.isdecimal() and 1 <= int(given) <= len(options):
                self.keep(question, options[int(given) - 1])
                return int(given) - 1
            self.say(f"  Please write a number from 1 to {len(options)}.")

    def secret(self, question: str, flag: str) -> str:
        if sys.stdin is not None and sys.stdin.isatty():
            return getpass.getpass(f"{question}: ").strip()
        return self._line(f"{question}: ")

    def about(self, subject: str) -> None:
        self._about = subject

    def again(self) -> None:
        self._kept, self._given = {**self._kept, **self._given}, {}

    def keep(self, question: str, answer: str) -> None:
        self._given[self._about, question] = answer

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

    def __init__(self) -> None:
        self.done: list[str] = []

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

    def about(self, subject: str) -> None: ...

    def again(self) -> None: ...

    def keep(self, question: str, answer: str) -> None: ...
