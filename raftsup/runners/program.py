"""The program of an agent: where it is, looked for as a turn's shim does.

A look costs a few system calls, so that a lane can wait while its agent's program is away, and
none of its turns spends an attempt on it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from raftsup.config.model import AcpAgent, CommandAgent
from raftsup.runners.base import Finding


def argv(agent: CommandAgent | AcpAgent) -> list[str]:
    """The command, with the ``~`` of its program expanded as a shell does."""
    program, *arguments = agent.command
    return [os.path.expanduser(program), *arguments]  # noqa: PTH111 - of a word, not of a path


def folder(agent: CommandAgent | AcpAgent) -> Path:
    """Where its turns begin. One for a command that names none is the host's own."""
    return Path(agent.cwd or ("~" if agent.kind == "acp" else ".")).expanduser().absolute()


def find(agent: CommandAgent | AcpAgent, env: Mapping[str, str]) -> Finding:
    """Whether the program is there: looked for from the turn's own folder, on the PATH of the
    turn's own environment. ``env``: what the agent's own is laid over.
    """
    start = folder(agent)
    if not start.is_dir():
        return Finding(False, f"there is no folder {start}; make it, or change cwd")
    program = argv(agent)[0]
    path = {"PATH": os.defpath, **env, **agent.env}["PATH"]
    if "/" in program:
        named, where = str(start / program), ""
    else:
        named, where = program, f" on the PATH ({path})"
    places = os.pathsep.join(str(start / place) for place in path.split(os.pathsep))
    if found := shutil.which(named, path=places):
        return Finding(True, f"{found} can be started")
    if not where and Path(named).is_file():
        return Finding(False, f"{named} is there, but this user may not execute it; chmod +x it")
    if not where and named != program:
        where = f" in {start}"
    fix = "correct the path" if Path(program).is_absolute() else "write its whole path"
    return Finding(False, f"there is no program {program}{where}; {fix}")


def away(agent: CommandAgent | AcpAgent, env: Mapping[str, str]) -> str:
    """Why it cannot be started; "" where it is there."""
    found = find(agent, env)
    return "" if found.good else found.text
