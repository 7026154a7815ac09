"""``raftsup up``: run the host, here or in the background."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from typing import Any, NoReturn

from raftsup import exit_codes, raft_home
from raftsup.cli.arguments import add_config, add_state_dir
from raftsup.cli.context import loader_of, state_of
from raftsup.cli.output import complain, here
from raftsup.config import variables
from raftsup.config.errors import ConfigError
from raftsup.ops import raft_place, rpc
from raftsup.paths import StateDir
from raftsup.proc import lockfile, reexec
from raftsup.supervisor import handover
from raftsup.wait import until

#: Seconds that a detached host may take until its parent answers.
_START = 20.0
#: Seconds that a host gets to stop before ``--force`` kills it.
_TAKE_OVER = 90.0


class _NoAddress(argparse.Action):
    """For those who know a Gateway's options."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        parser.error(f"{self.option_strings[0]}: every endpoint listens on 127.0.0.1, at a"
                     " port that the system picks: there is no port to choose")  # fmt: skip


EXAMPLES = "raftsup up --set turns.concurrency=8"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_config(command)
    command.add_argument("-d", "--detach", action="store_true", help="run it in the background")
    command.add_argument("-q", "--quiet", action="store_true", help="print no log")
    command.add_argument(
        "--force", action="store_true", help="stop the host that runs on this state folder first"
    )
    command.add_argument(
        "--dev", action="store_true", default=argparse.SUPPRESS,
        help="a throwaway host on the simulated Raft; see raftsup --dev status",
    )  # fmt: skip
    for option in ("--bind", "--port"):
        command.add_argument(option, action=_NoAddress, help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    if arguments.dev:
        from raftsup.trial import throwaway_command  # the simulator: not into a host's memory

        return throwaway_command.run(arguments)
    load = loader_of(arguments)
    config = handover.load_or_left(load, os.environ, _refused, _say)
    state = state_of(arguments)
    for told in filter(None, (raft_home.missing(os.environ), *variables.mistyped(os.environ))):
        _say(f"warning: {told}")
    state.prepare()
    left = handover.lock(state.lock, os.environ)
    if arguments.force and left is None:
        if told := raft_place.difference(state, os.environ):
            _say(f"{told}; the new host has yours")
        _stop_other(state)
    if arguments.detach:
        words = [word for word in sys.argv[1:] if word not in ("-d", "--detach", "--force")]
        return detached(state, words)

    from raftsup.supervisor import parent

    try:
        lock = parent.take_lock(state) if left is None else left
    except lockfile.Held as held:
        return complain(_running(state, held.pid), exit_codes.ALREADY_RUNNING)
    return parent.run(config, load, state, dict(os.environ), lock, quiet=arguments.quiet)


def _refused(error: ConfigError) -> None:
    said = f"{error}\nThe host restarts with the config that was good before; fix the file"
    complain(said, exit_codes.CONFIG)


def _say(line: str) -> None:
    print(f"raftsup: {line}", file=sys.stderr)


def _running(state: StateDir, pid: int | None) -> str:
    return (
        f"a host already runs on {state.root}: pid {pid or 'unknown'}. Look at it with `raftsup"
        " status`, stop it with `raftsup stop`, or take its place with `raftsup up --force`"
    )


def _stop_other(state: StateDir) -> None:
    pid = lockfile.holder(state.lock)
    if not pid:
        return
    print(f"raftsup: stopping the host with pid {pid}", file=sys.stderr)
    for number, patience in ((signal.SIGTERM, _TAKE_OVER), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        if until(lambda: lockfile.holder(state.lock) != pid, patience, 0.05):
            return


def detached(state: StateDir, words: list[str]) -> int:
    """Run ``raftsup <words>``, an ``up``, in the background; returns once it answers."""
    other = lockfile.holder(state.lock)
    if other is not None:
        return complain(_running(state, other), exit_codes.ALREADY_RUNNING)
    log = state.logs / "up.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        child = subprocess.Popen(
            # Quiet: supervisord's log is rotated in the state folder, this file would grow.
            reexec.argv("raftsup", *words, "--quiet"),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )

    def ours() -> bool:
        # Another host that was started in the same moment answers as well.
        return lockfile.holder(state.lock) == child.pid and rpc.answers(state)

    until(lambda: child.poll() is not None or ours(), _START, 0.05)
    if child.poll() == exit_codes.ALREADY_RUNNING:
        return complain(_running(state, lockfile.holder(state.lock)), exit_codes.ALREADY_RUNNING)
    if child.poll() is not None:
        print(log.read_text(errors="replace").strip(), file=sys.stderr)
        return child.returncode or exit_codes.FAILED
    if ours():
        print(here(f"raftsup runs in the background: pid {child.pid}. `raftsup status` shows it."))
        return exit_codes.OK
    return complain(
        f"pid {child.pid} does not answer after {_START:g} s: see {log}", exit_codes.FAILED
    )
