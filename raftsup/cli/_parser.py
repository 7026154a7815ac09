"""The parser of ``raftsup``: the table of its commands, and how each is filled in."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from functools import partial
from importlib import import_module

from raftsup import __version__
from raftsup import exit_codes as codes
from raftsup.cli.arguments import Parser, examples, instance

#: Each command: what it does, in the help's words. ``raftsup.cli.<name>`` carries it out, with
#: ``EXAMPLES``, ``add_arguments`` and ``run``.
COMMANDS: Mapping[str, str] = {
    "setup": "make the config, by questions or by flags",
    "account": "add, remove, enable, disable or list accounts",
    "up": "run the host",
    "stop": "stop the host: drain, then end",
    "drain": "accept nothing more, let the running turns end, then end the host",
    "reload": "apply the config file to the running host",
    "ctl": "supervisorctl on this host",
    "worker": "one account's worker, for a stock supervisord",
    "dispatcher": "the dispatcher, for a stock supervisord",
    "status": "status of every account; exit code 0 only if all are ready",
    "turn": "look at turns; end, repeat or start one",
    "pause": "accept wakes and start no turn, of one account or all",
    "resume": "start turns again, after a pause or a rest that failures earned",
    "ledger": "look after the ledger",
    "config": "look at the config",
    "doctor": "what is wrong, why it matters and what fixes it",
    "inspect": "all that is known of an account, secrets masked",
    "health": "one line and an exit code, for monitors",
    "logs": "the logs of all programs, as one, in time order (UTC)",
    "install": "run it as a service from now on: systemd, launchd",
    "uninstall": "stop the service and remove it; config and state stay",
    "start": "start the host in the background, as its service if it has one",
    "restart": "stop and start it, as its service if it has one",
    "completion": "the shell's completion of this command",
    "man": "the manual page",
    "demo": "the main job on a simulated Raft, with kills in between",
    "sim": "a simulated Raft workspace to try against",
}
#: What each may end with besides 0, 1 and 2; those that read the config or the state folder also
#: with what these say of them.
EXIT_CODES: Mapping[str, tuple[int, ...]] = {
    "setup": (codes.CONFIG, codes.INTERRUPTED),
    "account": (codes.CONFIG,),
    "up": (codes.ALREADY_RUNNING, codes.CONFIG, codes.STATE_DIR),
    "stop": (codes.NOT_RUNNING,),
    "drain": (codes.NOT_RUNNING,),
    "reload": (codes.NOT_RUNNING, codes.CONFIG),
    "ctl": (codes.NOT_RUNNING,),
    "worker": (codes.ALREADY_RUNNING, codes.CONFIG, codes.STATE_DIR, codes.HUNG),
    "dispatcher": (codes.ALREADY_RUNNING, codes.CONFIG, codes.STATE_DIR),
    "status": (codes.NOT_READY, codes.CONFIG, codes.STATE_DIR),
    "turn": (codes.NOT_RUNNING, codes.INTERRUPTED),
    "pause": (codes.NOT_RUNNING,),
    "resume": (codes.NOT_RUNNING,),
    "ledger": (codes.INCONSISTENT,),
    "config": (codes.NOT_READY, codes.CONFIG),
    "doctor": (codes.UNWELL,),
    "health": (codes.NOT_READY, codes.NOT_RUNNING, codes.STATE_DIR),
    "start": (codes.NOT_READY, codes.CONFIG, codes.STATE_DIR),
    "restart": (codes.NOT_READY, codes.CONFIG, codes.STATE_DIR),
}
#: Those that are carried out elsewhere.
_MODULES = {"demo": "raftsup.trial.demo_command", "sim": "raftsup.sim.main"}
_EXAMPLES = """\
examples:
  raftsup setup                     make the config, by questions
  raftsup demo                      see it work: a simulated Raft, two accounts, kills in between
  raftsup config check --live       is the config good, and can its agents be reached
  raftsup up                        run the host in the foreground (Ctrl-C drains and stops)
  raftsup up -d && raftsup status   run it detached, then look
  raftsup turn run support          does its agent answer? starts a turn and waits for its end
  raftsup turn list support         its latest turns
  raftsup ctl tail -f accounts:support
  raftsup reload                    after an edit: touches just the accounts that changed
  raftsup install && raftsup start  as a service; raftsup restart|stop then go through it
  raftsup --name staging status     another instance, with its own folders and service
  raftsup --dev up                  a throwaway host on a simulated Raft

The config is $RAFTSUP_CONFIG_PATH (default ~/.config/raftsup/raftsup.json5), the state folder
$RAFTSUP_STATE_DIR (default ~/.local/state/raftsup).
"""


def parser(*, whole: bool = False) -> Parser:
    """The parser of ``raftsup``. ``whole``: with the words of all commands, for those who look
    into it.

    What it parses has ``run``; ``parser``, the command's own; ``parse``, which takes another
    command line; ``whole``, which gives the whole parser. Commands do not import this module.
    """
    top = Parser(
        prog="raftsup",
        description="A supervised host for many Raft external agents.",
        epilog=f"{_EXAMPLES}\n{_exit_codes(codes.MEANINGS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"raftsup {__version__}")
    which = top.add_mutually_exclusive_group()
    which.add_argument("--name", dest="instance", type=instance, metavar="NAME",
                       help="the instance NAME: its own folders and service")  # fmt: skip
    which.add_argument("--dev", action="store_true", help="the throwaway instance of `up --dev`")
    top.set_defaults(parse=top.parse_args, whole=partial(parser, whole=True))
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(
            name, help=text, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.fill = partial(_fill, name)
        if whole:
            command.filled()
    return top


def _exit_codes(known: Iterable[int]) -> str:
    return "exit codes:\n" + "\n".join(f"  {code:>3}  {codes.MEANINGS[code]}" for code in known)


def _fill(name: str, command: Parser) -> None:
    carried_out = import_module(_MODULES.get(name, f"raftsup.cli.{name}"))
    known = (codes.OK, codes.FAILED, codes.USAGE, *EXIT_CODES.get(name, ()))
    command.epilog = f"{examples(carried_out.EXAMPLES)}\n\n{_exit_codes(known)}"
    command.set_defaults(run=carried_out.run, parser=command)
    carried_out.add_arguments(command)
