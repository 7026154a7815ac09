"""``raftsup up --dev``: a throwaway host in the foreground."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal

from raftsup import exit_codes, paths
from raftsup.errors import RaftsupError, UsageError
from raftsup.proc import lockfile
from raftsup.trial import throwaway


class AlreadyRuns(RaftsupError):
    """There is one throwaway host a user."""

    exit_code = exit_codes.ALREADY_RUNNING


def run(arguments: argparse.Namespace) -> int:
    if arguments.detach or arguments.force or arguments.state_dir:
        raise UsageError(
            "up --dev runs in the foreground, in a folder of its own: it takes neither -d,"
            " --force nor --state-dir"
        )
    folder = paths.throwaway(os.environ)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(throwaway.folders(folder))
        except lockfile.Held as held:
            raise AlreadyRuns(
                f"a throwaway host already runs: pid {held.pid or 'unknown'}. Look at it with"
                " `raftsup --dev status`"
            ) from None
        words = [word for text in arguments.settings for word in ("--set", text)]
        words += ["--quiet"] if arguments.quiet else []
        if arguments.config:
            words += ["--config", str(arguments.config.expanduser().absolute())]
        else:
            url = stack.enter_context(throwaway.simulator(folder))
            print(_greeting(url), flush=True)
        return _host({**os.environ, **paths.throwaway_variables(folder)}, words)


def _host(environ: dict[str, str], words: list[str]) -> int:
    ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    host = throwaway.host(environ, words)
    for number in ends:
        # As often as it comes: a second one does not wait for running turns.
        signal.signal(number, lambda *_: host.terminate())
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return host.wait()


def _greeting(url: str) -> str:
    return (
        f"A throwaway raftsup on a simulated Raft at {url}\n"
        f"({throwaway.SHORT_TIMERS}). From another terminal:\n"
        "  raftsup --dev status\n"
        f'  raftsup sim send --url {url} --to {throwaway.ACCOUNTS[0]} "hello"\n'
        f"  raftsup sim messages --url {url}\n"
        f"  raftsup --dev turn list {throwaway.ACCOUNTS[0]}\n"
        "Ctrl-C ends it and removes all of it."
    )
