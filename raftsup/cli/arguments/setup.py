"""Making the config, and changing one account of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from raftsup.cli.arguments.adder import Adder, action

_AGENT = 'who takes its turns, as JSON5: \'{ kind: "command", command: ["claude", "-p"] }\''


def add(add: Adder) -> None:
    _setup(add("setup", "setup", "make the config, by questions or by flags",
               "raftsup setup\nraftsup setup --profile support-agent --agent"
               " '{ kind: \"openclaw\", url: \"ws://127.0.0.1:18789\" }' --yes\n"
               "raftsup setup --from-openclaw --yes\n"
               "raftsup setup --profile support --agent-id ID --token-stdin --yes"))  # fmt: skip
    _account(add("account", "account", "add, remove, enable, disable or list accounts",
                 "raftsup account add sales --profile sales-agent"))  # fmt: skip


def _file(command: Any, default: Any = None) -> None:
    command.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help="change this config file"
    )


def _setup(command: Any) -> None:
    _file(command)
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
    command.add_argument("--agent", metavar="JSON5", help=_AGENT)
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


def _account(command: Any) -> None:
    _file(command)
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = action(actions, "add", "write an account and start it on the running host",
                 "raftsup account add sales --profile sales-agent")  # fmt: skip
    new.add_argument("account", metavar="ID")
    new.add_argument("--profile", required=True, metavar="P", help="the Raft CLI's profile")
    new.add_argument("--agent-id", metavar="ID",
                     help="its agent id in Raft (default: asks `raft auth whoami`)")  # fmt: skip
    new.add_argument("--agent", metavar="JSON5", help=f"{_AGENT}; default: turns.agent")
    new.add_argument("--name", dest="label", metavar="NAME", help="for people")
    new.add_argument("--lane", help="the lane of its turns (default: its own)")
    new.add_argument("--disabled", action="store_true", help="listed, but not run")
    for name, text in (
        ("remove", "stop an account and take it out of the config"),
        ("enable", "run an account again"),
        ("disable", "stop an account, but keep what is written of it"),
    ):
        one = action(actions, name, text, f"raftsup account {name} sales")
        one.add_argument("account", metavar="ID")
    for change in actions.choices.values():
        _file(change, argparse.SUPPRESS)
        change.add_argument("--no-reload", action="store_true",
                            help="do not tell the running host")  # fmt: skip
    listed = action(actions, "list", "what the config says of each", "raftsup account list --json")
    _file(listed, argparse.SUPPRESS)
    listed.add_argument("--json", action="store_true", help="print one JSON array")
