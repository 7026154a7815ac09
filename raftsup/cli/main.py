"""The ``raftsup`` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from raftsup import exit_codes
from raftsup.cli import output
from raftsup.cli._parser import parser
from raftsup.cli.context import choose_instance, chosen_by
from raftsup.cli.output import complain
from raftsup.config.errors import ConfigError
from raftsup.errors import RaftsupError
from raftsup.paths import default_state_dir

_NO_THROWAWAY = "there is no throwaway host; `raftsup --dev up` starts one"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code (see ``raftsup.exit_codes``)."""
    arguments = parser().parse_args(argv)
    try:
        choose_instance(arguments, os.environ)
        output.about(*chosen_by(arguments))
        return int(arguments.run(arguments))
    except RaftsupError as error:
        nowhere = arguments.dev and not default_state_dir(os.environ).exists()
        if nowhere and isinstance(error, ConfigError):
            return complain(_NO_THROWAWAY, exit_codes.NOT_RUNNING)
        return complain("\n".join(filter(None, (str(error), error.hint))), error.exit_code)
    except BrokenPipeError:
        # The reader of our output has seen enough (`| head`).
        sys.stderr.close()
        return exit_codes.OK
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except OSError as error:
        # A full disk under our output, a state folder of another user: a sentence, no traceback.
        return complain(str(error), exit_codes.FAILED)
