"""Trying an agent without a turn: can it be reached, and would it take one?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from raftsup.config.model import AcpAgent, Agent, CommandAgent, OpenAIAgent, OpenClawAgent
from raftsup.runners.base import Finding


async def try_out(agent: Agent, env: Mapping[str, str], device_key: Path) -> list[Finding]:
    """What is found, without a model call. ``env``: the clean environment of the host's children;
    ``device_key``: this host's identity before Gateways, made where there is none.
    """
    match agent:
        case CommandAgent():
            return _command(agent, env)
        case OpenClawAgent():
            from raftsup.runners.openclaw.check import try_out as of_openclaw

            return await of_openclaw(agent, device_key)
        case AcpAgent():
            if not (start := _command(agent, env))[-1].good:
                return start
            from raftsup.runners.acp.check import try_out as of_acp

            return await of_acp(agent, env)
        case OpenAIAgent():
            from raftsup.runners.openai.check import try_out as of_openai

            return await of_openai(agent, env)


def _command(agent: CommandAgent | AcpAgent, env: Mapping[str, str]) -> list[Finding]:
    """Whether the program is there, looked for as a turn's shim does: after it has gone to the
    turn's own folder, on the PATH of the turn's own environment.
    """
    usual = "~" if agent.kind == "acp" else "."
    folder = Path(agent.cwd or usual).expanduser().absolute()
    if not folder.is_dir():
        return [Finding(False, f"there is no folder {folder}; make it, or change cwd")]
    program = agent.command[0]
    path = {"PATH": os.defpath, **env, **agent.env}["PATH"]
    if "/" in program:
        named, where = str(folder / program), ""
    else:
        named, where = program, f" on the PATH ({path})"
    places = os.pathsep.join(str(folder / place) for place in path.split(os.pathsep))
    if found := shutil.which(named, path=places):
        return [Finding(True, f"{found} can be started")]
    if not where and Path(named).is_file():
        return [Finding(False, f"{named} is there, but this user may not execute it; chmod +x it")]
    if not where and named != program:
        where = f" in {folder}"
    fix = "write its whole path" if not Path(program).is_absolute() else "correct the path"
    return [Finding(False, f"there is no program {program}{where}; {fix}")]
