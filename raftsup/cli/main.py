"""The ``raftsup`` command: its arguments, and which function carries out which command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from raftsup import __version__, exit_codes
from raftsup.cli import output
from raftsup.cli.arguments import care, host, logs, look, service, setup, sim
from raftsup.cli.arguments.adder import Adder
from raftsup.cli.context import chosen_by
from raftsup.config.load import ConfigError
from raftsup.paths import StateDirError, default_state_dir

_NO_THROWAWAY = "there is no throwaway host; `raftsup --dev up` starts one"

_EXAMPLES = """\
examples:
  raftsup setup                     make the config, by questions
  raftsup demo                      see it work: a simulated Raft, two accounts, kills in between
  raftsup config check --live       is the config good, and can its agents be reached
  raftsup up                        run the host in the foreground (Ctrl-C drains and stops)
  raftsup up -d && raftsup status   run it detached, then look
  raftsup turn run support          does its agent answer? starts a turn and waits for its end
  raftsup turn list support         its latest turns
  raftsup ctl tail -f accounts:support
  raftsup reload                    after an edit: touches just the accounts that changed
  raftsup install && raftsup start  as a service; raftsup restart|stop then go through it
  raftsup --name staging status     another instance, with its own folders and service
  raftsup --dev up                  a throwaway host on a simulated Raft

The config is $RAFTSUP_CONFIG_PATH (default ~/.config/raftsup/raftsup.json5), the state folder
$RAFTSUP_STATE_DIR (default ~/.local/state/raftsup). Exit codes: 0 good, 1 failed, 2 usage, 3 an
account is not ready, 4 not running, 5 already running, 6 bad config, 7 bad state folder, 8 a
worker's endpoint hung, 9 the ledger contradicts itself, 10 the doctor found something bad, 130
Ctrl-C.
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="raftsup",
        description="A supervised host for many Raft external agents.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"raftsup {__version__}")
    service.instance_arguments(top)
    add = Adder(top)
    for group in (setup, host, look, care, logs, service, sim):
        group.add(add)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code (see ``raftsup.exit_codes``)."""
    arguments = parser().parse_args(argv)
    try:
        service.choose_instance(arguments, os.environ)
        output.about(*chosen_by(arguments))
        return int(arguments.run(arguments))
    except ConfigError as error:
        if arguments.dev and not default_state_dir(os.environ).exists():
            return complain(_NO_THROWAWAY, exit_codes.NOT_RUNNING)
        return complain(str(error), exit_codes.CONFIG)
    except StateDirError as error:
        return complain(str(error), exit_codes.STATE_DIR)
    except BrokenPipeError:
        # The reader of our output has seen enough (`| head`).
        sys.stderr.close()
        return exit_codes.OK
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except OSError as error:
        # A full disk under our output, a state folder of another user: a sentence, no traceback.
        return complain(str(error), exit_codes.FAILED)


def complain(text: str, code: int) -> int:
    print(f"raftsup: {output.here(text)}", file=sys.stderr)
    return code
