"""``raftsup reload``: apply the config file to the running host, or say what that would do."""

from __future__ import annotations

import argparse
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_json, add_state_dir
from raftsup.cli.context import loader_of, state_of
from raftsup.cli.output import complain, print_json
from raftsup.ops import reload, rpc

EXAMPLES = "raftsup reload --dry-run"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    command.add_argument("--dry-run", action="store_true", help="only say what would happen")
    add_json(command)
    # The file is the running host's; without one, this shell's.
    command.set_defaults(config=None, settings=[])


def run(arguments: argparse.Namespace) -> int:
    try:
        return _plan(arguments) if arguments.dry_run else _apply(arguments)
    except rpc.ParentStopped as error:
        return complain(f"nothing was changed: {error}", exit_codes.FAILED)
    except rpc.ParentSilent as error:
        return complain(f"it is not known whether anything was changed: {error}", exit_codes.FAILED)
    except rpc.ParentDown as error:
        return complain(f"{error}. Start it with `raftsup up`", exit_codes.NOT_RUNNING)
    except reload.FileRefused as error:
        will = "the running host would refuse it" if arguments.dry_run else "nothing was changed"
        return complain(f"{will}: {error}", exit_codes.CONFIG)
    except reload.BrokenOff as error:
        return complain(f"not carried out to its end: {error}", exit_codes.FAILED)
    except rpc.ParentRefused as error:
        return complain(f"nothing was changed: {error}", exit_codes.FAILED)


def _plan(arguments: argparse.Namespace) -> int:
    found = reload.plan(state_of(arguments), loader_of(arguments))
    if arguments.json:
        print_json(found)
    else:
        print("\n".join(reload.plan_lines(found)))
    return exit_codes.OK


def _apply(arguments: argparse.Namespace) -> int:
    done = []
    for one in reload.apply(state_of(arguments)):
        done.append(one)
        if not arguments.json:
            print(reload.sentence(one), flush=True)
    if arguments.json:
        print_json({"done": done})
    elif not done:
        print("nothing to apply: the host runs what the file says")
    return exit_codes.OK
