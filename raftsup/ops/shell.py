"""What shells and ``man`` are given of the command: generated from its parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import shtab
from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]

from raftsup.paths import xdg

#: An account's id is completed by asking; the functions are the shells' own.
_ACCOUNTS = {
    "bash": "_raftsup_account_ids",
    "zsh": "_raftsup_account_ids",
    "fish": "(raftsup completion accounts 2>/dev/null)",
}
_FUNCTIONS = {
    "bash": """\
_raftsup_account_ids() { compgen -W "$(raftsup completion accounts 2>/dev/null)" -- "$1"; }
""",
    "zsh": """\
_raftsup_account_ids() { compadd -- ${(f)"$(raftsup completion accounts 2>/dev/null)"} }
""",
    "fish": "",
}


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The completion script for ``shell``: bash, zsh or fish."""
    for _, command in parsers(parser):
        for action in command._actions:
            _mark(action)
    return shtab.complete(parser, shell, preamble=_FUNCTIONS[shell])


def _mark(action: Any) -> None:
    if action.dest in ("account", "accounts") and not action.choices:
        action.complete = _ACCOUNTS
    elif action.type is Path:
        action.complete = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE


def completion_path(shell: str, environ: Mapping[str, str], home: Path) -> Path:
    """Where ``shell`` looks for a user's completions (zsh: a folder that fpath must name)."""
    environ = {**environ, "HOME": str(home)}
    data = xdg(environ, "XDG_DATA_HOME", ".local/share")
    config = xdg(environ, "XDG_CONFIG_HOME", ".config")
    return {
        "bash": data / "bash-completion" / "completions" / "raftsup",
        "zsh": data / "zsh" / "site-functions" / "_raftsup",
        "fish": config / "fish" / "completions" / "raftsup.fish",
    }[shell]


def manual(parser: argparse.ArgumentParser, version: str) -> str:
    """The manual page, section 1, in roff. ``parser`` is used up by it."""
    whole, *below = [_examples(p.epilog) for _, p in parsers(parser) if p.epilog]
    parser.epilog = None  # the library would fill its lines
    page = Manpage(
        parser,
        {
            "project_name": "raftsup",
            "version": version,
            "manual_title": "raftsup",
            "description": (parser.description or "").rstrip("."),
        },
    )
    text = "\n".join([whole, "each command:", *dict.fromkeys(below)])
    page.add_section("examples", "=", f".nf\n{_verbatim(text)}\n.fi")
    return str(page)


def _examples(epilog: str) -> str:
    """An epilog without the word that introduces it."""
    lines = re.sub(r"^examples?:\s*", "", epilog)
    return f"  {lines}"


def _verbatim(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    # A control character of roff's at the beginning of a line would be taken for a request.
    return "\n".join(
        f"\\&{line}" if line[:1] in (".", "'") else line for line in escaped.split("\n")
    )


def parsers(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parser, and all below it, each with the words that lead to it."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in dict.fromkeys(action.choices.values()):
                yield from parsers(below)


def manual_path(environ: Mapping[str, str], home: Path) -> Path:
    """Where man looks for a user's pages, if ``~/.local/bin`` is on the PATH."""
    data = xdg({**environ, "HOME": str(home)}, "XDG_DATA_HOME", ".local/share")
    return data / "man" / "man1" / "raftsup.1"
