"""The ``raftsup`` command: its arguments, and which function carries out which command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from raftsup import __version__, exits
from raftsup.config.load import ConfigError
from raftsup.paths import StateDirError

_EXAMPLES = """\
examples:
  raftsup demo                      see it work: a simulated Raft, two accounts, kills in between
  raftsup config check --live       is the config good, and can its agents be reached
  raftsup up                        run the host in the foreground (Ctrl-C drains and stops)
  raftsup up -d && raftsup status   run it detached, then look
  raftsup turn run support          does its agent answer? starts a turn and waits for its end
  raftsup turn list support         its latest turns
  raftsup ctl tail -f accounts:support
  raftsup reload                    after an edit: touches just the accounts that changed

The config is $RAFTSUP_CONFIG_PATH (default ~/.config/raftsup/raftsup.json5), the state folder
$RAFTSUP_STATE_DIR (default ~/.local/state/raftsup). Exit codes: 0 good, 1 failed, 2 usage, 3 an
account is not ready, 4 not running, 5 already running, 6 bad config, 7 bad state folder, 8 a
worker's endpoint hung, 9 the ledger contradicts itself.
"""

Command = Callable[[argparse.Namespace], int]


def _lazily(module: str) -> Command:
    """Carry out a command by ``raftsup.cli.<module>.run``, imported when it is needed: the
    parent's packages would slow down every ``status``.
    """

    def run(arguments: argparse.Namespace) -> int:
        from importlib import import_module

        return int(import_module(f"raftsup.cli.{module}").run(arguments))

    return run


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="raftsup",
        description="A supervised host for many Raft external agents.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"raftsup {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, module: str, text: str, example: str, *, config: bool = False) -> Any:
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=_lazily(module))
        command.add_argument("--state-dir", type=Path, metavar="DIR", help="use this state folder")
        if config:
            _config_arguments(command)
        return command

    up = add("up", "up", "run the host", "raftsup up --set turns.concurrency=8", config=True)
    up.add_argument("-d", "--detach", action="store_true", help="run it in the background")
    up.add_argument("-q", "--quiet", action="store_true", help="print no log")
    up.add_argument(
        "--force", action="store_true", help="stop the host that runs on this state folder first"
    )
    stop = add("stop", "stop", "stop the host: drain, then end", "raftsup stop --timeout 60")
    stop.add_argument("--timeout", type=float, default=90.0, metavar="SECONDS",
                      help="how long to wait for its end (default 90)")  # fmt: skip
    status = add(
        "status", "status", "how every account is; exit code 0 only if all are ready",
        "raftsup status --json | jq '.accounts[].state'", config=True,
    )  # fmt: skip
    status.add_argument("--json", action="store_true", help="print one JSON object")
    add("reload", "reload", "apply the config file to the running host", "raftsup reload")
    ctl = add("ctl", "ctl", "supervisorctl on this host", "raftsup ctl restart accounts:support")
    ctl.add_argument("words", nargs=argparse.REMAINDER, metavar="…", help="as for supervisorctl")
    worker = add(
        "worker", "worker", "one account's worker, for a stock supervisord",
        "raftsup worker support", config=True,
    )  # fmt: skip
    worker.add_argument("account")
    add("dispatcher", "dispatcher", "the dispatcher, for a stock supervisord",
        "raftsup dispatcher", config=True)  # fmt: skip
    _turn(add("turn", "turn", "look at turns; end, repeat or start one",
              "raftsup turn run support"))  # fmt: skip
    _ledger(add("ledger", "ledger", "look after the ledger", "raftsup ledger verify"))
    _config(add("config", "config", "look at the config", "raftsup config check", config=True))
    demo = add("demo", "demo", "the main job on a simulated Raft, with kills in between",
               "raftsup demo")  # fmt: skip
    demo.add_argument("--messages", type=int, default=12, metavar="N",
                      help="messages to send (default 12)")  # fmt: skip
    from raftsup.sim import main as sim

    simulator = commands.add_parser("sim", help="a simulated Raft workspace to try against")
    sim.add_arguments(simulator)
    simulator.set_defaults(run=sim.run)
    return top


def _config_arguments(command: Any, default: Any = None) -> None:
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


def _ledger(command: Any) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("verify", help="check that the ledger does not contradict itself")
    backup = actions.add_parser("backup", help="copy it, also while the host runs")
    backup.add_argument("file", type=Path, metavar="FILE")


def _turn(command: Any) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    turns = actions.add_parser("list", help="the latest turns, newest first")
    turns.add_argument("account", nargs="?")
    turns.add_argument("--limit", type=int, default=20, metavar="N", help="so many (default 20)")
    turns.add_argument("--json", action="store_true", help="print one JSON array")
    show = actions.add_parser("show", help="all that is known of a turn")
    show.add_argument("turn", type=int, metavar="TURN")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.add_argument("--transcript", action="store_true", help="print what its agent said")
    cancel = actions.add_parser("cancel", help="end a queued or running turn")
    cancel.add_argument("turn", type=int, metavar="TURN")
    retry = actions.add_parser("retry", help="owe a failed, timed out or cancelled turn again")
    retry.add_argument("turn", type=int, metavar="TURN")
    run = actions.add_parser("run", help="start one without a wake: does the agent answer?")
    run.add_argument("account")
    run.add_argument("--no-wait", action="store_true", help="do not wait for its end")


def _config(command: Any) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="is it good; what it says, secrets masked")
    _config_arguments(check, argparse.SUPPRESS)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.add_argument("--live", action="store_true",
                       help="also try each agent, without a model call")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code (see ``raftsup.exits``)."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        return complain(str(error), exits.CONFIG)
    except StateDirError as error:
        return complain(str(error), exits.STATE_DIR)
    except BrokenPipeError:
        # The reader of our output has seen enough (`| head`).
        sys.stderr.close()
        return exits.OK
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        # A full disk under our output, a state folder of another user: a sentence, no traceback.
        return complain(str(error), exits.FAILED)


def complain(text: str, code: int) -> int:
    print(f"raftsup: {text}", file=sys.stderr)
    return code
