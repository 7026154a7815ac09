"""Getting an ACP agent ready: ``initialize``, then the lane's session, old or new.

Source: https://agentclientprotocol.com/protocol/v1/ (initialization, session-setup).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from acp.meta import AGENT_METHODS, PROTOCOL_VERSION
from acp.schema import (
    ClientCapabilities,
    Implementation,
    InitializeRequest,
    InitializeResponse,
    LoadSessionRequest,
    LoadSessionResponse,
    NewSessionRequest,
    NewSessionResponse,
    ResumeSessionRequest,
    ResumeSessionResponse,
)

from raftsup import __version__
from raftsup.runners.acp.errors import (
    AUTH_REQUIRED,
    AgentGone,
    AgentTrouble,
    Login,
    login_text,
    logins_of,
)
from raftsup.runners.acp.process import AgentProcess, within
from raftsup.terminal import plain

#: Seconds for an agent to start and answer ``initialize``, and to make a session ready. Some
#: install themselves first; a long history takes its time to load.
INITIALIZE_TIMEOUT_S = 60.0
_SESSION_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Hello:
    """What an agent said of itself."""

    #: Name and version, or "" if it did not tell.
    agent: str
    can_resume: bool
    can_load: bool
    logins: tuple[Login, ...]


@dataclass(frozen=True)
class Session:
    id: str
    #: ``new``, ``resumed`` or ``loaded``.
    origin: str


async def greet(process: AgentProcess, timeout: float = INITIALIZE_TIMEOUT_S) -> Hello:
    """``initialize``. Raises ``AgentTrouble`` where it fails or the versions do not fit."""
    # Of the client's powers (files, terminals) an agent is given none: it has its own.
    request = InitializeRequest(
        protocol_version=PROTOCOL_VERSION,
        client_capabilities=ClientCapabilities(),
        client_info=Implementation(name="raftsup", title="raftsup", version=__version__),
    )
    method = AGENT_METHODS["initialize"]
    asking = process.ask(method, request, InitializeResponse)
    told = await within(timeout, asking, method, process.wire)
    if told.protocol_version != PROTOCOL_VERSION:
        raise AgentTrouble(
            f"the agent speaks version {told.protocol_version} of the Agent Client Protocol,"
            f" raftsup speaks version {PROTOCOL_VERSION}: install versions that fit"
        )
    info, can = told.agent_info, told.agent_capabilities
    sessions = can.session_capabilities if can else None
    return Hello(
        agent=plain(f"{info.title or info.name} {info.version}", 80) if info else "",
        can_resume=bool(sessions and sessions.resume is not None),
        can_load=bool(can and can.load_session),
        logins=logins_of([method.model_dump() for method in told.auth_methods or ()]),
    )


async def open_session(
    process: AgentProcess, hello: Hello, cwd: str, last: str, lost: Callable[[str], None]
) -> Session:
    """Take up the session ``last`` again, or make a new one.

    ``lost`` is told why ``last`` could not be taken up. Raises ``AgentTrouble``.
    """
    if last:
        for origin, can in (("resumed", hello.can_resume), ("loaded", hello.can_load)):
            if not can:
                continue
            try:
                await _again(process, origin, last, cwd)
                return Session(last, origin)
            except AgentGone:
                # It may die of this very session: the next process gets a new one.
                lost("the agent died while it took it up")
                raise
            except AgentTrouble as trouble:
                if trouble.code == AUTH_REQUIRED:
                    raise login_first(trouble, hello) from None
                lost(str(trouble))
    method = AGENT_METHODS["session_new"]
    asking = process.ask(method, NewSessionRequest(cwd=cwd, mcp_servers=[]), NewSessionResponse)
    try:
        made = await within(_SESSION_TIMEOUT_S, asking, method, process.wire)
    except AgentTrouble as trouble:
        raise login_first(trouble, hello) from None
    return Session(made.session_id, "new")


async def _again(process: AgentProcess, origin: str, session: str, cwd: str) -> None:
    if origin == "resumed":
        method = AGENT_METHODS["session_resume"]
        resume = ResumeSessionRequest(cwd=cwd, session_id=session, mcp_servers=[])
        asking = process.ask(method, resume, ResumeSessionResponse)
        await within(_SESSION_TIMEOUT_S, asking, method, process.wire)
    else:
        method = AGENT_METHODS["session_load"]
        load = LoadSessionRequest(cwd=cwd, session_id=session, mcp_servers=[])
        loading = process.ask(method, load, LoadSessionResponse)
        await within(_SESSION_TIMEOUT_S, loading, method, process.wire)


def login_first(trouble: AgentTrouble, hello: Hello) -> AgentTrouble:
    """``trouble``, with how to log in where that is what it takes."""
    if trouble.code != AUTH_REQUIRED:
        return trouble
    return AgentTrouble(
        f"{trouble}: {login_text(hello.logins)}", code=trouble.code, detail=trouble.detail
    )
