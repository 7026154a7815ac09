"""Exit codes of every ``raftsup`` command. Scripts may rely on them."""

OK = 0
#: Something went wrong that no other code names.
FAILED = 1
#: The command line is wrong (argparse's own code).
USAGE = 2
#: ``status``: an enabled account is not ready, or a step of ``--probe`` failed.
NOT_READY = 3
#: The command needs a running host and none runs on this state folder.
NOT_RUNNING = 4
#: ``up``: another host already runs on this state folder.
ALREADY_RUNNING = 5
#: The config cannot be used; nothing was started or changed.
CONFIG = 6
#: The state folder cannot be used (permissions, path too long, not ours).
STATE_DIR = 7
#: ``worker``: the endpoint stopped answering itself and asks to be restarted.
HUNG = 8
#: ``ledger verify``: the ledger contradicts itself.
INCONSISTENT = 9
#: ``doctor``: something that the config asks for does not work, or is open to others.
UNWELL = 10
#: Ctrl-C ended the command, not what it looked at (as shells have it: 128 + SIGINT).
INTERRUPTED = 130
