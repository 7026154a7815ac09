"""``raftsup setup``: make the config, by questions or by flags."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from raftsup import exits
from raftsup.cli.account import target_of
from raftsup.cli.main import complain
from raftsup.config.edit import EditRefused
from raftsup.ops import apply
from raftsup.ops.account import agent_of
from raftsup.ops.accounts import NotSo
from raftsup.ops.raft_cli import CliTrouble
from raftsup.ops.setup import flow, plan
from raftsup.ops.setup.ask import Missing, Person, Unasked
from raftsup.ops.setup.openclaw import usual_path


def run(arguments: argparse.Namespace) -> int:
    target = target_of(arguments)
    try:
        agreed = flow.agree(_given(arguments), target, Unasked() if arguments.yes else Person())
    except (EOFError, KeyboardInterrupt) as ended:
        print(file=sys.stderr)
        complain("nothing was changed", exits.FAILED)
        return exits.FAILED if isinstance(ended, EOFError) else 130
    except Missing as error:
        return complain(str(error), exits.USAGE)
    except (NotSo, EditRefused, CliTrouble) as error:
        return complain(f"nothing was changed: {error}", exits.FAILED)
    if agreed is None:
        print("Nothing was changed.")
        return exits.FAILED
    try:
        for line in apply.change(target, agreed.over, now=not arguments.no_reload):
            print(line, flush=True)
    except (EditRefused, apply.Refused) as error:
        return complain(str(error), exits.FAILED)
    for note in agreed.notes:
        print(f"\n{note}")
    print()
    for line in plan.next_words(agreed.unset, target.path, runs=target.host is not None):
        print(line)
    return exits.OK


def _given(arguments: argparse.Namespace) -> flow.Given:
    openclaw = arguments.from_openclaw
    return flow.Given(
        profile=arguments.profile,
        account=arguments.account,
        agent_id=arguments.agent_id,
        agent=agent_of(arguments.agent) if arguments.agent else None,
        command=shlex.split(arguments.raft) if arguments.raft else None,
        openclaw=usual_path(os.environ) if openclaw is True else openclaw,
        check=not arguments.no_check,
    )
