"""``raftsup install``: have the machine's service manager run this instance."""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from pathlib import Path
from typing import Any

from raftsup import exit_codes
from raftsup.cli.arguments import add_scope, add_state_dir
from raftsup.cli.output import complain
from raftsup.config.load import load
from raftsup.ops.service import control, install, spec
from raftsup.ops.service.spec import Scope

EXAMPLES = "raftsup install && raftsup start"


def add_arguments(command: Any) -> None:
    add_state_dir(command)
    add_scope(command, "for this user (the default)", "for the machine, from boot; needs root")
    command.add_argument("--config", type=Path, metavar="FILE", help="the service's config file")
    command.add_argument("--run-as", metavar="USER",
                         help="of a system service (default: whoever called sudo)")  # fmt: skip
    command.add_argument("--dry-run", action="store_true", help="show the unit, write nothing")
    command.add_argument("--force", action="store_true", help="write over one that differs")


def run(arguments: argparse.Namespace) -> int:
    if arguments.dev:
        return complain("the throwaway instance ends with its terminal: it is no service",
                        exit_codes.USAGE)  # fmt: skip
    scope = Scope(arguments.scope or Scope.USER)
    user = _user(scope, arguments.run_as)
    if user is None:
        return complain(f"--run-as {arguments.run_as}: there is no such user", exit_codes.USAGE)
    environ = _environment(user)
    service, notes = spec.describe(
        environ, load, scope, user.pw_name, config=arguments.config, state=arguments.state_dir
    )
    if scope is Scope.SYSTEM and user.pw_uid == 0:
        notes.append("it runs as root, and so do its agents: --run-as USER names another user")
    try:
        plan = install.plan(service, Path(environ["HOME"]))
        if arguments.dry_run:
            print(
                plan.diff if plan.old is not None else f"# {plan.place.path}\n{plan.text}", end=""
            )
        else:
            if plan.old not in (None, plan.text) and not arguments.force:
                print(plan.diff, end="")
            for line in install.carry_out(plan, service, force=arguments.force):
                print(line)
    except control.Refused as error:
        _tell(notes)
        typed = install.typed(plan.place, control.Verb.ENABLE, control.Verb.START)
        return complain(
            f"{error}\nAll is written; from a login of this user's own, say:\n{typed}",
            exit_codes.FAILED,
        )
    _tell(notes)
    if not arguments.dry_run:
        if install.ends_with_login(service):
            print(f"it stops when {user.pw_name} logs out: sudo loginctl enable-linger"
                  f" {user.pw_name}")  # fmt: skip
        print(f"next: {install.next_word(service, plan.place)}")
    return exit_codes.OK


def _user(scope: Scope, named: str | None) -> pwd.struct_passwd | None:
    if named is None and (scope is Scope.USER or not os.environ.get("SUDO_USER")):
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam(named or os.environ["SUDO_USER"])
    except KeyError:
        return None


def _environment(user: pwd.struct_passwd) -> dict[str, str]:
    """This shell's, as far as it is that user's own."""
    environ = {"HOME": user.pw_dir, **os.environ}
    if user.pw_uid != os.getuid():
        strangers = ("XDG_", "RAFT_")
        environ = {k: v for k, v in environ.items() if not k.startswith(strangers)}
        environ["HOME"] = user.pw_dir
    return environ


def _tell(notes: list[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
