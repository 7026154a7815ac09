"""Running the host, and its programs."""

from __future__ import annotations

import argparse

from raftsup.cli.arguments.adder import Adder


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
    stop = add("stop", "stop", "stop the host: drain, then end", "raftsup stop --timeout 60")
    stop.add_argument("--timeout", type=float, default=90.0, metavar="SECONDS",
                      help="how long to wait for its end (default 90)")  # fmt: skip
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
