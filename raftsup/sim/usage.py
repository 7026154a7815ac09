"""The command line, read as the true CLI reads it.

Flags may stand before, between and after a command's words; one that two levels have (``--server``
of ``agent login`` and of ``agent login status``) is the outer one's; what is too much is ignored.
What cannot be read ends with ``INVALID_ARG`` and the help to ask for. Its guesses ("Did you mean")
are not doubled. Source: RAFT_PROTOCOL, "Profiles and identity" [main.ts, core/command.ts].
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from raftsup.sim.cli_errors import CliError

Words = tuple[str, ...]

_LOGIN = (
    "--server <url>",
    "--agent <agentId>",
    "--client-name <label>",
    "--profile-slug <slug>",
    "--profile-dir <path>",
)
#: Of each command that is doubled, its flags. A word in ``<>`` is a value.
COMMANDS: dict[Words, Words] = {
    ("auth", "whoami"): (),
    ("agent", "login"): _LOGIN,
    ("agent", "login", "start"): _LOGIN,
    ("agent", "login", "wait"): (*_LOGIN, "--device-code <code>"),
    ("agent", "login", "status"): _LOGIN,
    ("agent", "list"): ("--server <url>", "--client-name <label>"),
    ("agent", "bridge"): (
        "--json",
        "--expected-agent <id>",
        "--once",
        "--poll-interval-ms <ms>",
        "--state-dir <path>",
        "--adapter-instance <id>",
        "--limit <n>",
        "--wake-adapter <kind>",
        "--wake-channel-endpoint <url>",
        "--wake-channel-token <token>",
        "--runtime-session <id>",
        "--activity-channel-endpoint <url>",
        "--activity-channel-token <token>",
        "--activity-drain-limit <n>",
    ),
    ("message", "send"): (
        "--target <target>",
        "--send-draft",
        "--anyway",
        "--target-confirmed",
        "--reviewer-isolation",
        "--json",
        "--content <content>",
        "--attachment-id <id>",
        "--mention <actor>",
    ),
    ("message", "check"): (),
    ("message", "read"): (
        "--target <target>",
        "--channel <target>",
        "--before <idOrSeq>",
        "--after <idOrSeq>",
        "--around <idOrSeq>",
        "--limit <n>",
    ),
    ("manual", "get"): ("--intent <text>", "--reason <text>", "--turn-id <id>", "--trace-id <id>"),
}
#: Words that must follow a command.
_NEEDED: dict[Words, str] = {("manual", "get"): "topic"}
#: What the true CLI has besides: here so that only what it has not is unknown.
_OTHERS: dict[Words, Words] = {
    ("message",): ("search", "resolve", "react"),
    ("manual",): ("search",),
    ("knowledge",): ("get", "search"),
    ("profile",): ("show", "update"),
    ("server",): ("info", "update"),
    ("user",): ("info",),
    ("thread",): ("unfollow",),
    ("inbox",): ("check",),
    ("attachment",): ("upload", "view", "comments"),
    ("task",): (
        "list",
        "create",
        "claim",
        "unclaim",
        "assign",
        "unassign",
        "update",
        "receipt",
        "delete",
        "convert",
        "amend",
        "history",
    ),
    ("channel",): (
        "info",
        "members",
        "create",
        "update",
        "archive",
        "unarchive",
        "add-member",
        "remove-member",
        "join",
        "leave",
        "mute",
        "unmute",
    ),
    ("mention",): ("pending", "notify", "invite"),
    ("integration",): ("list", "marketplace", "login", "env", "invoke", "app"),
    ("reminder",): ("schedule", "list", "cancel", "snooze", "update", "log"),
    ("action",): ("prepare",),
    ("app",): ("config",),
    ("migrate",): ("export", "import", "status", "ready", "arrived"),
    ("wiki",): ("manifest", "read", "publish"),
    (): ("version",),
}
_ROOT = ("--profile <slug>", "--version")
_SHORT = {"-p": "--profile", "-V": "--version", "-h": "--help"}


class Given(SimpleNamespace):
    """A command and what it was given: each of its flags by name, None or False without."""

    command: Words
    operands: list[str]

    def __getattr__(self, name: str) -> Any:
        # A flag of another command.
        if name.startswith("__"):
            raise AttributeError(name)
        return None


class Told(Exception):
    """Help or the version was asked for: print the message, end with 0."""


class Helpless(CliError):
    """Too few words: the help comes before the error."""

    def __init__(self, path: Words) -> None:
        super().__init__("INVALID_ARG", "(outputHelp)", f"Run `{_named(path)} --help` for syntax.")
        self.help = help_of(path)


def parse(argv: list[str], version: str) -> Given:
    """Raises ``CliError`` and ``Told``."""
    path: Words = ()
    operands: list[str] = []
    unknown = list(argv)
    given = Given(profile=None)
    while True:
        found, unknown = _scan(unknown, path, given, version)
        operands += found
        below = _below(path)
        if operands and operands[0] in below:
            path = (*path, operands.pop(0))
            if path not in COMMANDS and not _below(path):
                raise CliError("NOT_SIMULATED", f"{_named(path)} is not simulated.")
            continue
        if operands[:1] == ["help"] and below:
            raise Told(help_of((*path, *operands[1:2])))
        return _complete(path, operands, unknown, given)


def _complete(path: Words, operands: list[str], unknown: list[str], given: Given) -> Given:
    if path not in COMMANDS and not operands and not unknown:
        raise Helpless(path)
    if "--help" in unknown or "-h" in unknown:
        raise Told(help_of(path))
    if path not in COMMANDS and operands:
        raise CliError(
            "INVALID_ARG",
            f"unknown command '{operands[0]}'",
            f"Run `{_named(path)} --help` to list valid subcommands: {', '.join(_below(path))}.",
        )
    if unknown:
        raise CliError(
            "INVALID_ARG",
            f"unknown option '{unknown[0]}'",
            f"Run `{_named(path)} --help` to list supported flags.",
        )
    if (needed := _NEEDED.get(path)) and not operands:
        raise CliError(
            "INVALID_ARG",
            f"missing required argument '{needed}'",
            "Run `raft manual get index` for the topic index, or `raft manual get --help` for"
            " syntax.",
        )
    for flag in COMMANDS[path]:
        if _attribute(flag) not in vars(given):
            setattr(given, _attribute(flag), None if "<" in flag else False)
    given.command, given.operands = path, operands
    return given


def _scan(words: list[str], path: Words, given: Given, version: str) -> tuple[list[str], list[str]]:
    """One level's reading: its flags go to ``given``; the words, and what is not its own."""
    flags = {flag.split()[0]: flag for flag in (COMMANDS.get(path, ()) if path else _ROOT)}
    operands: list[str] = []
    unknown: list[str] = []
    into, left = operands, list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            into += ([word] if into is unknown else []) + left
            break
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        flag = flags.get(_SHORT.get(name, name))
        if flag is None and word[:2] in _SHORT and len(word) > 2 and _SHORT[word[:2]] in flags:
            flag, equals, value = flags[_SHORT[word[:2]]], "=", word[2:]
        if flag is None or (equals and "<" not in flag):
            if word.startswith("-") and len(word) > 1:
                into = unknown
            into.append(word)
        elif flag == "--version":
            raise Told(version)
        elif "<" not in flag:
            setattr(given, _attribute(flag), True)
        else:
            if not equals and not left:
                raise CliError(
                    "INVALID_ARG",
                    f"option '{flag}' argument missing",
                    f"Run `{_named(path)} --help` for syntax.",
                )
            setattr(given, _attribute(flag), value if equals else left.pop(0))
    return operands, unknown


def _below(path: Words) -> Words:
    """The words that may follow ``path``."""
    mine = [words[len(path)] for words in COMMANDS if words[: len(path)] == path != words]
    if not path:
        mine += [words[0] for words in _OTHERS if words]
    return tuple(dict.fromkeys((*mine, *_OTHERS.get(path, ()))))


def help_of(path: Words) -> str:
    lines = [f"Usage: {_named(path)} [options]{' [command]' if _below(path) else ''}", ""]
    flags = COMMANDS.get(path, ()) if path else ("-p, --profile <slug>", "-V, --version")
    lines += ["Options:", *(f"  {flag}" for flag in (*flags, "-h, --help"))]
    if below := _below(path):
        lines += ["", "Commands:", *(f"  {word}" for word in below)]
    return "\n".join(lines)


def _named(path: Words) -> str:
    return " ".join(("raft", *path))


def _attribute(flag: str) -> str:
    return flag.split()[0].removeprefix("--").replace("-", "_")
