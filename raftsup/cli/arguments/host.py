"""Running the host, and its programs."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from raftsup.cli.arguments.adder import Adder
from raftsup.cli.arguments.seconds import seconds


class _NoAddress(argparse.Action):
    """For those who know a Gateway's options."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        parser.error(f"{self.option_strings[0]}: every endpoint listens on 127.0.0.1, at a"
                     " port that the system picks: there is no port to choose")  # fmt: skip


def add(add: Adder) -> None:
    up = add("up", "up", "run the host", "raftsup up --set turns.concurrency=8", config=True)
    up.add_argument("-d", "--detach", action="store_true", help="run it in the background")
    up.add_argument("-q", "--quiet", action="store_true", help="print no log")
    up.add_argument(
        "--force", action="store_true", help="stop the host that runs on this state folder first"
    )
    up.add_argument(
        "--dev", action="store_true", default=argparse.SUPPRESS,
        help="a throwaway host on the simulated Raft; see raftsup --dev status",
    )  # fmt: skip
    for option in ("--bind", "--port"):
        up.add_argument(option, action=_NoAddress, help=argparse.SUPPRESS)
    stop = add("stop", "stop", "stop the host: drain, then end", "raftsup stop --timeout 60")
    stop.add_argument("--timeout", type=seconds, default=90.0, metavar="SECONDS",
                      help="how long to wait for its end (default 90)")  # fmt: skip
    drain = add(
        "drain", "drain", "accept nothing more, let the running turns end, then end the host",
        "raftsup drain --timeout 600 && pip install -U raftsup && raftsup start",
    )  # fmt: skip
    drain.add_argument(
        "--timeout", type=seconds, metavar="SECONDS",
        help="then interrupt what still runs (default: wait as long as it takes)",
    )  # fmt: skip
    drain.add_argument("--json", action="store_true", help="print one JSON object")
    reload = add("reload", "reload", "apply the config file to the running host",
                 "raftsup reload --dry-run")  # fmt: skip
    reload.add_argument("--dry-run", action="store_true", help="only say what would happen")
    reload.add_argument("--json", action="store_true", help="print one JSON object")
    # The file is the running host's; without one, this shell's.
    reload.set_defaults(config=None, settings=[])
    ctl = add("ctl", "ctl", "supervisorctl on this host", "raftsup ctl restart accounts:support")
    ctl.add_argument("words", nargs=argparse.REMAINDER, metavar="…", help="as for supervisorctl")
    worker = add(
        "worker", "worker", "one account's worker, for a stock supervisord",
        "raftsup worker support", config=True,
    )  # fmt: skip
    worker.add_argument("account")
    add("dispatcher", "dispatcher", "the dispatcher, for a stock supervisord",
        "raftsup dispatcher", config=True)  # fmt: skip
