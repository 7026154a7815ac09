"""``raftsup up --dev``: a throwaway host in the foreground."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal

from raftsup import exit_codes
from raftsup.cli.main import complain
from raftsup.ops import dev
from raftsup.proc import lockfile


def run(arguments: argparse.Namespace) -> int:
    if arguments.detach or arguments.force or arguments.state_dir:
        return complain(
            "up --dev runs in the foreground, in a folder of its own: it takes neither -d,"
            " --force nor --state-dir",
            exit_codes.USAGE,
        )
    folder = dev.root(os.environ)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(dev.folders(folder))
            words = [word for text in arguments.settings for word in ("--set", text)]
            words += ["--quiet"] if arguments.quiet else []
            if arguments.config:
                words += ["--config", str(arguments.config.expanduser().absolute())]
            else:
                url = stack.enter_context(dev.simulator(folder))
                print(_greeting(url), flush=True)
            return _host({**os.environ, **dev.variables(folder)}, words)
    except lockfile.Held as held:
        return complain(
            f"a throwaway host already runs: pid {held.pid or 'unknown'}. Look at it with"
            " `raftsup --dev status`",
            exit_codes.ALREADY_RUNNING,
        )


def _host(environ: dict[str, str], words: list[str]) -> int:
    ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    host = dev.host(environ, words)
    for number in ends:
        # As often as it comes: a second one does not wait for running turns.
        signal.signal(number, lambda *_: host.terminate())
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return host.wait()


def _greeting(url: str) -> str:
    return (
        f"A throwaway raftsup on a simulated Raft at {url}\n"
        f"({dev.SHORT_TIMERS}). From another terminal:\n"
        "  raftsup --dev status\n"
        f'  raftsup sim send --url {url} --to {dev.ACCOUNTS[0]} "hello"\n'
        f"  raftsup sim messages --url {url}\n"
        f"  raftsup --dev turn list {dev.ACCOUNTS[0]}\n"
        "Ctrl-C ends it and removes all of it."
    )
