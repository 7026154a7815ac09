"""A command line is read as the true CLI reads it."""

from __future__ import annotations

import pytest

from raftsup.sim import usage
from raftsup.sim.cli_errors import CliError
from raftsup.sim.usage import Given


def parse(*words: str) -> Given:
    return usage.parse(list(words), "Raft CLI: 1")


@pytest.mark.parametrize(
    "words",
    [
        ("--profile", "p", "message", "send", "--target", "#a"),
        ("message", "--profile", "p", "send", "--target", "#a"),
        ("message", "send", "--target", "#a", "-p", "p"),
        ("message", "send", "--target=#a", "--profile=p"),
        ("message", "send", "--target=#a", "-pp"),
    ],
)
def test_flags_stand_anywhere(words: tuple[str, ...]) -> None:
    given = parse(*words)
    assert given.command == ("message", "send")
    assert (given.profile, given.target, given.operands) == ("p", "#a", [])
    assert (given.send_draft, given.content) == (False, None)


def test_what_is_too_much_is_kept_apart() -> None:
    assert parse("message", "check", "now").operands == ["now"]
    assert parse("message", "send", "--target", "#a", "--", "--json").operands == ["--json"]
    assert parse("message", "send", "--target", "--json").target == "--json"


def test_an_actions_flags_may_come_before_it() -> None:
    for words in (
        ("agent", "login", "status", "--server", "s", "--agent", "a"),
        ("agent", "login", "--server", "s", "status", "--agent", "a"),
    ):
        given = parse(*words)
        assert given.command == ("agent", "login", "status")
        assert (given.server, given.agent, given.profile_slug) == ("s", "a", None)


@pytest.mark.parametrize(
    ("words", "message", "next_action"),
    [
        ("message check --json", "unknown option '--json'",
         "Run `raft message check --help` to list supported flags."),
        ("auth login", "unknown command 'login'",
         "Run `raft auth --help` to list valid subcommands: whoami."),
        ("profile list", "unknown command 'list'",
         "Run `raft profile --help` to list valid subcommands: show, update."),
        ("auth", "(outputHelp)", "Run `raft auth --help` for syntax."),
        ("agent list --server", "option '--server <url>' argument missing",
         "Run `raft agent list --help` for syntax."),
        ("manual get", "missing required argument 'topic'",
         "Run `raft manual get index` for the topic index, or `raft manual get --help` for"
         " syntax."),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_the_help(words: str, message: str, next_action: str) -> None:
    with pytest.raises(CliError) as refused:
        parse(*words.split())
    error = refused.value
    assert (error.code, str(error), error.next_action) == ("INVALID_ARG", message, next_action)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--help", "Usage: raft [options] [command]"),
        ("help", "Usage: raft [options] [command]"),
        ("help message", "Usage: raft message [options] [command]"),
        ("auth --help", "Usage: raft auth [options] [command]"),
        ("agent bridge -h", "Usage: raft agent bridge [options]"),
        ("--version", "Raft CLI: 1"),
        ("message check -V", "Raft CLI: 1"),
    ],
)
def test_help_and_version_are_told(words: str, told: str) -> None:
    with pytest.raises(usage.Told) as asked:
        parse(*words.split())
    assert str(asked.value).splitlines()[0] == told
