"""``raftsup ctl``: supervisorctl on this host."""

from __future__ import annotations

import argparse

from supervisor import supervisorctl

from raftsup import exits
from raftsup.cli.context import state_of
from raftsup.cli.main import complain


def run(arguments: argparse.Namespace) -> int:
    state = state_of(arguments)
    if not state.supervisord_conf.exists():
        return complain(f"raftsup has never run on {state.root}", exits.NOT_RUNNING)
    supervisorctl.main(["-c", str(state.supervisord_conf), *arguments.words])
    return exits.OK  # not reached: supervisorctl exits with a code of its own
