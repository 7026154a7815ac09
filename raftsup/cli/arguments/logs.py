"""Reading the host's logs."""

from __future__ import annotations

from raftsup.cli.arguments.adder import Adder


def add(add: Adder) -> None:
    logs = add(
        "logs", "logs", "the logs of all programs, as one, in time order (UTC)",
        "raftsup logs support --since 10m\n"
        "raftsup logs --follow --level warning\n"
        "raftsup logs --turn 17 --json | jq -r '[.time, .action] | @tsv'",
    )  # fmt: skip
    logs.add_argument("account", nargs="?", help="what is about this account alone")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    logs.add_argument("--turn", type=int, metavar="N", help="a turn's way, from its wake on")
    logs.add_argument("--since", metavar="WHEN",
                      help="not older than 10m, or than a time (2026-11-21T08:00Z)")  # fmt: skip
    logs.add_argument("-n", "--lines", type=int, metavar="N",
                      help="the newest N records (default: 200; 20 before what follows; all"
                      " with --since or --turn)")  # fmt: skip
    logs.add_argument("--level", default="debug", type=str.lower,
                      choices=("debug", "info", "warning", "error", "critical"),
                      help="not less grave than this")  # fmt: skip
    logs.add_argument("--json", action="store_true", help="print one JSON object a record")
