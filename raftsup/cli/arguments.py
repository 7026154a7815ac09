"""How command lines are taken: the parser's class, and the arguments that many commands share."""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from raftsup import paths

_CHOICE = re.compile(r"argument (?P<what>\S+): invalid choice: '(?P<said>[^']*)' .*", re.DOTALL)
_DAY_S = 86400
AGENT_HELP = 'who takes its turns, as JSON5: \'{ kind: "command", command: ["claude", "-p"] }\''


class Parser(argparse.ArgumentParser):
    """Of a mistyped word it says what that is like; of a command, its words are added when they
    are needed.
    """

    #: Adds the command's own words, once.
    fill: Callable[[Parser], None] | None = None

    def filled(self) -> Parser:
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        return self

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        return super(Parser, self.filled()).parse_known_args(args, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            like = _like(rest[0].partition("=")[0], found.parser._option_string_actions)
            found.parser.error(f"unrecognized arguments: {' '.join(rest)}{like}")
        return found

    def error(self, message: str) -> NoReturn:
        if said := _CHOICE.fullmatch(message):
            named = {"/".join(a.option_strings) or a.metavar or a.dest: a for a in self._actions}
            known = [str(choice) for choice in named[said["what"]].choices or ()]
            more = _like(said["said"], known) or f"; there are {', '.join(known)}"
            message = f"{said['what']}: there is no {said['said']!r}{more}"
        super().error(message)


def _like(said: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(said, list(known), 3, 0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def examples(lines: str) -> str:
    """``lines``: a command line each, as a person types it."""
    shown = "\n".join(f"  {line.strip()}" for line in lines.splitlines())
    return f"examples:\n{shown}" if "\n" in lines else f"example:\n{shown}"


def add_action(actions: Any, name: str, text: str, example: str) -> Any:
    """A parser below a command: its help says what it does and ends in an example."""
    action = actions.add_parser(
        name,
        help=text,
        description=text,
        epilog=examples(example),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action.set_defaults(parser=action)
    return action


def add_state_dir(command: Any) -> None:
    command.add_argument("--state-dir", type=Path, metavar="DIR", help="use this state folder")


def add_json(command: Any, what: str = "one JSON object") -> None:
    command.add_argument("--json", action="store_true", help=f"print {what}")


def add_config(command: Any, default: Any = None) -> None:
    """``default``: SUPPRESS for an action below a command that has the same options, so that
    they are taken on either side of its name.
    """
    command.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help="use this config file"
    )
    command.add_argument(
        "--set", action="append", default=default or [], metavar="PATH=VALUE", dest="settings",
        help="override a setting, like turns.timeout=5m",
    )  # fmt: skip


def add_changed_file(command: Any, default: Any = None) -> None:
    """For a command that changes the config; ``default`` as above."""
    command.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help="change this config file"
    )


def add_scope(command: Any, user: str, system: str) -> None:
    """Whose service it is, and its instance, also behind the command's name."""
    scope = command.add_mutually_exclusive_group()
    for word, text in (("user", user), ("system", system)):
        scope.add_argument(f"--{word}", dest="scope", action="store_const", const=word, help=text)
    command.add_argument("--name", dest="instance", type=instance, default=argparse.SUPPRESS,
                         metavar="NAME", help="the instance NAME (default: raftsup)")  # fmt: skip


def instance(text: str) -> str:
    """An instance's name, as it is typed."""
    if not paths.INSTANCE_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: a name has letters, digits, - and _, at most 32 and a letter or digit first"
        )
    return text


def seconds(text: str) -> float:
    """0 or more."""
    number = _number(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: write seconds, 0 or more")
    return number


def a_while(text: str) -> float:
    """More than 0, at most a day."""
    number = _number(text)
    if not 0 < number <= _DAY_S:
        raise argparse.ArgumentTypeError(f"{text!r}: write seconds, more than 0, at most {_DAY_S}")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
