"""``raftsup reload``: apply the config file to the running host."""

from __future__ import annotations

import argparse

from raftsup import exits
from raftsup.cli.context import state_of
from raftsup.cli.main import complain
from raftsup.ops import rpc


def run(arguments: argparse.Namespace) -> int:
    changes = 0
    try:
        for line in rpc.reload(state_of(arguments)):
            changes += 1
            print(line)
    except rpc.ParentDown as error:
        return complain(f"{error}. Start it with `raftsup up`", exits.NOT_RUNNING)
    except rpc.ParentRefused as error:
        if changes:
            return complain(f"stopped half way, say `raftsup reload` again: {error}", exits.FAILED)
        return complain(f"nothing was changed: {error}", exits.CONFIG)
    if not changes:
        print("no account to add, remove or restart; the dispatcher has read the file again")
    return exits.OK
