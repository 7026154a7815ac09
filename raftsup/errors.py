"""The base of all errors of raftsup: a text for the person who reads it, and an exit code."""

from __future__ import annotations

from typing import ClassVar

from raftsup import exit_codes


class RaftsupError(Exception):
    """Its text says what is wrong and where. Who catches nothing more special prints it, with the
    hint in the next line, and ends with ``exit_code``.
    """

    exit_code: ClassVar[int] = exit_codes.FAILED

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        super().__init__(message)
        #: What to do next, by commands that exist; None where the text says it.
        self.hint = hint


class UsageError(RaftsupError):
    """The command line asks for what cannot be."""

    exit_code = exit_codes.USAGE
