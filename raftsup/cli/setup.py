"""``raftsup setup``: make the config, by questions or by flags."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from raftsup import exit_codes
from raftsup.cli.account import say_where, target_of
from raftsup.cli.arguments import AGENT_HELP, add_changed_file, add_state_dir
from raftsup.cli.output import command, complain, here
from raftsup.config.json5.edit import EditRefused
from raftsup.ops import config_update
from raftsup.ops.account import agent_of
from raftsup.ops.accounts import ChangeRefused
from raftsup.ops.raft_cli import CliTrouble
from raftsup.ops.setup import plan, wizard
from raftsup.ops.setup.openclaw import usual_path
from raftsup.ops.setup.prompts import Ask, Person, Unasked
from raftsup.raft_names import wrong_agent_id, wrong_profile, wrong_server

EXAMPLES = """\
raftsup setup
raftsup setup --profile support --agent '{ kind: "openclaw", url: "ws://127.0.0.1:18789" }' --yes
raftsup setup --from-openclaw --yes
raftsup setup --profile support --agent-id ID --token-stdin --yes"""


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_changed_file(command)
    command.add_argument("--profile", metavar="P", help="the Raft CLI's profile")
    command.add_argument("--account", metavar="ID", help="the account's id (default: the profile)")
    command.add_argument("--agent-id", metavar="ID",
                         help="its agent id in Raft (default: as `auth whoami` tells)")  # fmt: skip
    command.add_argument(
        "--server",
        metavar="URL",
        help="where --token-stdin signs in (default: where the other profiles are)",
    )
    command.add_argument("--token-stdin", action="store_true",
                         help="sign the profile in first: its agent's token is the first line of"
                         " standard input")  # fmt: skip
    command.add_argument("--agent", metavar="JSON5", help=AGENT_HELP)
    command.add_argument("--command", dest="raft", metavar="CLI", help="the Raft CLI, if not raft")
    command.add_argument(
        "--from-openclaw", type=Path, nargs="?", const=True, default=None, metavar="PATH",
        help="take over channels.raft and the Gateway of an openclaw.json"
        " (default: OPENCLAW_CONFIG_PATH, else ~/.openclaw/openclaw.json)",
    )  # fmt: skip
    command.add_argument("--no-check", action="store_true", help="do not try the agent")
    command.add_argument("--no-reload", action="store_true", help="do not tell the running host")
    command.add_argument("-y", "--yes", action="store_true",
                         help="ask nothing: take the flags and the defaults")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    if wrong := _wrong(arguments):
        return complain(wrong, exit_codes.USAGE)
    target = target_of(arguments)
    say_where(target)
    ask = Unasked() if arguments.yes else Person()
    try:
        agreed = wizard.agree(_given(arguments), target, ask)
    except (EOFError, KeyboardInterrupt) as ended:
        print(file=sys.stderr)
        complain(_left(ask), exit_codes.FAILED)
        return exit_codes.FAILED if isinstance(ended, EOFError) else exit_codes.INTERRUPTED
    except (ChangeRefused, EditRefused, CliTrouble) as error:
        return complain(f"{_left(ask)}: {error}", exit_codes.FAILED)
    if agreed is None:
        return complain(_left(ask), exit_codes.FAILED)
    for line in config_update.change(target, agreed.over, tell_host=not arguments.no_reload):
        print(here(line), flush=True)
    for note in agreed.notes:
        print(f"\n{note}")
    print()
    for line in plan.next_words(agreed.unset, target.path, runs=target.host is not None):
        print(command(line))
    return exit_codes.OK


def _left(ask: Ask) -> str:
    """How things are after a setup that came to no end."""
    if not ask.done:
        return "nothing was changed"
    return f"the config was not changed, but {' and '.join(dict.fromkeys(ask.done))}"


def _wrong(arguments: argparse.Namespace) -> str | None:
    """What is wrong with the command line; None: nothing."""
    if arguments.dev:
        return "the throwaway instance makes its own config: `raftsup --dev up` starts it"
    one = (arguments.profile, arguments.account, arguments.agent_id, arguments.agent)
    if arguments.from_openclaw and any(one):
        return (
            "--from-openclaw takes over all accounts and their agent: leave out --profile,"
            " --account, --agent-id and --agent"
        )
    if arguments.token_stdin and not (arguments.profile and arguments.agent_id and arguments.yes):
        return "--token-stdin signs a profile in: it needs --profile, --agent-id and --yes"
    if arguments.server and not arguments.token_stdin:
        return "--server goes with --token-stdin; without them setup asks for both"
    given = (
        ("--profile", arguments.profile, wrong_profile),
        ("--agent-id", arguments.agent_id, wrong_agent_id),
        ("--server", arguments.server, wrong_server),
    )
    for flag, value, wrong in given:
        if value is not None and (reason := wrong(value)):
            return f"{flag}: {reason}"
    try:
        shlex.split(arguments.raft or "")
    except ValueError as error:
        return f"--command {arguments.raft}: {error}"
    return None


def _given(arguments: argparse.Namespace) -> wizard.Given:
    openclaw = arguments.from_openclaw
    return wizard.Given(
        profile=arguments.profile,
        account=arguments.account,
        agent_id=arguments.agent_id,
        agent=agent_of(arguments.agent) if arguments.agent else None,
        command=shlex.split(arguments.raft) if arguments.raft else None,
        openclaw=usual_path(os.environ) if openclaw is True else openclaw,
        check=not arguments.no_check,
        server=arguments.server,
        token=sys.stdin.readline().strip() if arguments.token_stdin else None,
    )
