"""An agent on the official SDK's agent side, to test our client against: run as a process.

The environment says how it behaves:

* ``ACP_DO``: words, each a behaviour (see ``Agent`` and ``main``).
* ``ACP_TEE``: a file that every byte of standard input is copied to.
* ``ACP_NOTES``: a file that gets one JSON line for each thing of note.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any

from acp import RequestError, run_agent
from acp.schema import (
    AgentCapabilities,
    AuthMethodAgent,
    EnvVarAuthMethod,
    Implementation,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    ResumeSessionResponse,
    SessionCapabilities,
    SessionResumeCapabilities,
    ToolCallUpdate,
)
from acp.stdio import stdio_streams

DO = set(os.environ.get("ACP_DO", "").split())


def note(**facts: Any) -> None:
    with open(os.environ["ACP_NOTES"], "a") as file:
        file.write(json.dumps(facts) + "\n")


def message(text: str, kind: str = "agent_message_chunk") -> dict[str, Any]:
    return {"sessionUpdate": kind, "content": {"type": "text", "text": text}}


class Agent:
    def __init__(self) -> None:
        self._cancelled = asyncio.Event()
        self._sessions = 0

    def on_connect(self, connection: Any) -> None:
        self._client = connection

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        if "mute" in DO:
            await asyncio.Event().wait()
        resume = SessionResumeCapabilities() if "resume" in DO else None
        key: Any = [{"name": "X_KEY"}]
        logins: Any = [
            AuthMethodAgent(id="browser", name="In the browser", description="run `x login`"),
            EnvVarAuthMethod(id="key", name="A key", type="env_var", vars=key),
        ]
        return InitializeResponse(
            protocol_version=7 if "version7" in DO else protocol_version,
            agent_info=Implementation(name="test-agent", version="1.2"),
            agent_capabilities=AgentCapabilities(
                load_session="load" in DO,
                session_capabilities=SessionCapabilities(resume=resume),
            ),
            auth_methods=logins if "login" in DO else [],
        )

    async def new_session(self, cwd: str, mcp_servers: Any = None, **_: Any) -> NewSessionResponse:
        if "login" in DO:
            raise RequestError.auth_required()
        self._sessions += 1
        session = f"session-{os.getpid()}-{self._sessions}"
        note(new=session, cwd=cwd, mcp=mcp_servers)
        return NewSessionResponse(session_id=session)

    async def load_session(self, cwd: str, session_id: str, **_: Any) -> LoadSessionResponse:
        if "die_loading" in DO:
            os._exit(4)
        if "lose" in DO:
            raise RequestError.resource_not_found(session_id)
        await self._say(session_id, message("an old message"))
        note(loaded=session_id)
        return LoadSessionResponse()

    async def resume_session(self, cwd: str, session_id: str, **_: Any) -> ResumeSessionResponse:
        if "lose" in DO:
            raise RequestError.resource_not_found(session_id)
        note(resumed=session_id)
        return ResumeSessionResponse()

    async def prompt(self, prompt: list[Any], session_id: str, **_: Any) -> PromptResponse:
        if "cold" in DO:
            os._exit(5)
        note(prompt=prompt[0].text, blocks=len(prompt), session=session_id)
        self._cancelled.clear()
        if "stderr" in DO:
            print("a warning", file=sys.stderr, flush=True)
        if "work" in DO:
            await self._work(session_id)
        if "grandchild" in DO:
            await self._grandchild(session_id)
        if "ask" in DO or "ask_update" in DO:
            await self._ask(session_id)
        if "ask_files" in DO:
            await self._ask_for_files(session_id)
        await self._end(session_id)
        reason: Any = next((word for word in DO if word in ("refusal", "max_tokens")), "end_turn")
        return PromptResponse(stop_reason="cancelled" if self._cancelled.is_set() else reason)

    async def _end(self, session: str) -> None:
        """The end of a prompt, if it is not a plain one."""
        if "die" in DO:
            os._exit(3)
        if "fail" in DO:
            raise RequestError(-32603, "a secret message", {"body": "more of it"})
        if "not_found" in DO:
            raise RequestError.resource_not_found(session)
        if "nonsense" in DO:
            os.write(1, b"not json\n" * 200)
        if "hang" in DO or "nonsense" in DO:
            await self._say(session, message("hanging"))
            await self._cancelled.wait()
        if "deaf" in DO:
            await self._say(session, message("hanging"))
            await asyncio.Event().wait()
        await self._say(session, message("the answer"))

    async def cancel(self, session_id: str, **_: Any) -> None:
        note(cancel=session_id)
        self._cancelled.set()

    async def _work(self, session: str) -> None:
        for text in ("hm", "hmm"):
            await self._say(session, message(text, "agent_thought_chunk"))
        call = {"toolCallId": "1", "title": "rm secret.txt"}
        await self._say(session, {"sessionUpdate": "tool_call", "kind": "execute", **call})
        await self._say(session, {"sessionUpdate": "tool_call_update", "status": "failed", **call})
        await self._say(session, message("again", "agent_thought_chunk"))

    async def _grandchild(self, session: str) -> None:
        # It leaves the session, keeps nothing of ours but the environment.
        child = subprocess.Popen(
            ["sleep", "600"],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        note(pid=os.getpid(), child=child.pid)

    async def _ask(self, session: str) -> None:
        options = [
            PermissionOption(option_id="always", name="Always", kind="allow_always"),
            PermissionOption(option_id="yes", name="Yes", kind="allow_once"),
            PermissionOption(option_id="no", name="No", kind="reject_once"),
        ]
        if "ask_update" in DO:
            tool = {"sessionUpdate": "tool_call", "toolCallId": "9", "title": "t", "kind": "read"}
            await self._say(session, tool)
        kind: Any = None if "ask_update" in DO else "execute"
        call = ToolCallUpdate(tool_call_id="9", title="rm secret.txt", kind=kind)
        answer = await self._client.request_permission(
            session_id=session, tool_call=call, options=options
        )
        note(permission=answer.outcome.model_dump(by_alias=True, exclude_none=True))

    async def _ask_for_files(self, session: str) -> None:
        try:
            await self._client.read_text_file(path="/etc/passwd", session_id=session)
        except RequestError as error:
            note(files=error.code)

    async def _say(self, session: str, update: dict[str, Any]) -> None:
        await self._client._conn.send_notification(
            "session/update", {"sessionId": session, "update": update}
        )


def tee(reader: asyncio.StreamReader, path: str) -> None:
    """Copy each line that ``reader`` gives to a file."""
    read = reader.readuntil

    async def readuntil(separator: bytes = b"\n") -> bytes:
        line = await read(separator)
        with open(path, "ab") as file:
            file.write(line)
        return line

    reader.readuntil = readuntil  # type: ignore[method-assign,assignment]


async def main() -> None:
    note(started=os.getpid())
    if "stubborn" in DO:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "banner" in DO:
        print("Welcome to the agent!", flush=True)
    if "junk" in DO:
        for _ in range(1000):
            print("usage: agent [--acp]", flush=True)
        await asyncio.Event().wait()
    reader, writer = await stdio_streams()
    tee(reader, os.environ["ACP_TEE"])
    agent: Any = Agent()
    # The SDK counts session/resume as unstable; the protocol has it.
    await run_agent(agent, writer, reader, use_unstable_protocol=True)
    note(ended=os.getpid())


if __name__ == "__main__":
    asyncio.run(main())
