"""Trying an ACP agent without a model call: does it start, and does it speak the protocol?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acp.exceptions import RequestError

from raftsup.config.model import AcpAgent
from raftsup.runners import program
from raftsup.runners.acp.errors import AgentGone, AgentTrouble, login_text
from raftsup.runners.acp.process import AgentProcess, Launch, start
from raftsup.runners.acp.session import Hello, greet
from raftsup.runners.base import Finding
from raftsup.terminal import plain

#: Seconds for the answer to ``initialize``; ending the agent may take some more.
TIMEOUT_S = 9.5
#: Bytes of standard error that are looked at for its last line. Nobody has prompted it: no content.
_MOST_ERRORS = 4096


async def try_out(
    agent: AcpAgent, env: Mapping[str, str], timeout: float = TIMEOUT_S
) -> list[Finding]:
    """Start ``agent`` in ``env`` and its own, greet it, and end it wholly. At most 15 s."""
    errors = bytearray()
    launch = Launch(
        command=program.argv(agent),
        cwd=str(program.folder(agent)),
        env={**env, **agent.env},
        title="raftsup: trying an agent",
        handler=_nothing_for_it,
        hear=lambda data: errors.extend(data[-_MOST_ERRORS:]),
    )
    try:
        process = await start(launch)
    except OSError as error:
        return [Finding(False, f"cannot start a process here: {error.strerror}")]
    try:
        return _well(agent, await greet(process, timeout))
    except AgentTrouble as trouble:
        return _badly(agent, process, trouble, bytes(errors))
    finally:
        await process.end(at_once=True)


def _well(agent: AcpAgent, hello: Hello) -> list[Finding]:
    name = hello.agent or "the agent (it does not tell its name)"
    found = [
        Finding(True, f"{agent.command[0]} starts"),
        Finding(True, f"{name} answers initialize and speaks ACP version 1"),
    ]
    if not (hello.can_resume or hello.can_load):
        text = "it cannot take up an earlier session: each start of raftsup begins a new one"
        found.append(Finding(True, text))
    if hello.logins:
        found.append(Finding(True, f"if it is not logged in yet: {login_text(hello.logins)}"))
    return found


def _badly(
    agent: AcpAgent, process: AgentProcess, trouble: AgentTrouble, errors: bytes
) -> list[Finding]:
    if process.pid is None:
        hint = "write the program's full path in agent.command, or put it on the PATH"
        return [Finding(False, f"{trouble}; {hint}")]
    hint = ""
    if isinstance(trouble, AgentGone):
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        hint = (
            f"; the last that it said is: {plain(last, 200)}"
            if last
            else "; run the command by hand to see more: an ACP agent waits for input"
        )
    return [Finding(True, f"{agent.command[0]} starts"), Finding(False, f"{trouble}{hint}")]


async def _nothing_for_it(method: str, params: Any, is_notification: bool) -> Any:
    if is_notification:
        return None
    raise RequestError.method_not_found(method)
