"""Exit codes of every ``raftsup`` command. Scripts may rely on them."""

from collections.abc import Mapping

OK = 0
FAILED = 1
USAGE = 2
NOT_READY = 3
NOT_RUNNING = 4
ALREADY_RUNNING = 5
CONFIG = 6
STATE_DIR = 7
HUNG = 8
INCONSISTENT = 9
UNWELL = 10
#: As shells have it: 128 + SIGINT.
INTERRUPTED = 130

MEANINGS: Mapping[int, str] = {
    OK: "good",
    FAILED: "failed, where no other code says it",
    USAGE: "the command line is wrong",
    NOT_READY: "an enabled account is not ready",
    NOT_RUNNING: "no host runs",
    ALREADY_RUNNING: "another host already runs",
    CONFIG: "the config cannot be used; nothing was started or changed",
    STATE_DIR: "the state folder cannot be used, or looked into",
    HUNG: "the endpoint stopped answering, and is to be restarted",
    INCONSISTENT: "the ledger contradicts itself",
    UNWELL: "something that the config asks for does not work, or is open to others",
    INTERRUPTED: "Ctrl-C ended the command, not what it looked at",
}
