"""Where the Raft CLI of the host that runs here has its profiles: a command asks it there, though
the shell that the command is typed in may say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

from raftsup import raft_home
from raftsup.ops.raft_cli import CliTrouble
from raftsup.paths import StateDir
from raftsup.proc import lockfile
from raftsup.raft_home import Place
from raftsup.supervisor import active_accounts


def of_host(state: StateDir) -> Place | None:
    """None where no host runs here, or one of an older raftsup, which does not tell."""
    return active_accounts.place(state) if lockfile.holder(state.lock) is not None else None


def environment(state: StateDir, environ: Mapping[str, str]) -> Mapping[str, str]:
    """``environ``, the Raft CLI's places in it those of the host."""
    place = of_host(state)
    if place is None or place.is_as(raft_home.place(environ)):
        return environ
    return place.within(environ)


def difference(state: StateDir, environ: Mapping[str, str]) -> str:
    """A sentence where the host's places are others than this shell's; "" otherwise."""
    place = of_host(state)
    return raft_home.difference(place, raft_home.place(environ)) if place else ""


def refuse_wrong(environ: Mapping[str, str]) -> None:
    """Raises ``CliTrouble`` for places that are folders for no command, or for this one alone."""
    for name, what, hint in raft_home.wrong(environ):
        raise CliTrouble(f"{name} in the environment: {what}; {hint}")
