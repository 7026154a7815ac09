"""An ACP agent's process: kept, its three pipes served, its end known.

It goes on from turn to turn. Whatever ends it (it exits, it closes its output, it breaks the
protocol, we ask) ends all of it: ``over`` is done when nothing of it runs any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from acp.connection import Connection, MethodHandler
from acp.exceptions import RequestError
from pydantic import BaseModel, ValidationError

from raftsup.proc.child import Child, exit_text, spawn
from raftsup.runners import leftovers
from raftsup.runners.acp.errors import AgentGone, AgentTrouble, CannotStart, error_text
from raftsup.runners.acp.transport import MOST_LINE, Wire
from raftsup.wait import first_of

#: Seconds that the pipes of a process that is gone may still be read for.
_LAST_WORDS = 1.0

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Launch:
    """What to start, and who listens to it."""

    command: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    title: str
    #: Takes the requests and notifications of the agent. Raises nothing but ``RequestError``.
    handler: MethodHandler
    #: Takes what the agent writes to standard error.
    hear: Callable[[bytes], None]
    #: By these a process is found whose shim was killed; none: it is not looked for.
    marks: Mapping[str, str] = field(default_factory=dict)
    #: Descriptors that all of it keeps open.
    hold: Sequence[int] = ()
    #: Seconds that it has to end once its standard input is closed, and once it is told to.
    eof_grace: float = 2.0
    term_grace: float = 5.0
    #: And that its shim has to kill it.
    kill_grace: float = 2.0


async def start(launch: Launch) -> AgentProcess:
    """Start an agent. A program that cannot be started is told of by the first ``ask``.

    Raises ``OSError`` if no process or descriptor is to be had.
    """
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as theirs, contextlib.ExitStack() as on_failure:

        def pipe() -> tuple[int, int]:
            read, write = os.pipe()
            return read, write

        stdin, to_agent = pipe()
        theirs.callback(os.close, stdin)
        writer, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(to_agent, "wb", buffering=0)
        )
        on_failure.callback(writer.close)
        readers = []
        for _ in ("stdout", "stderr"):
            read, write = pipe()
            theirs.callback(os.close, write)
            reader = asyncio.StreamReader(limit=MOST_LINE)
            transport, _ = await loop.connect_read_pipe(
                lambda reader=reader: asyncio.StreamReaderProtocol(reader),  # type: ignore[misc]
                os.fdopen(read, "rb", buffering=0),
            )
            on_failure.callback(transport.close)
            readers.append((reader, transport, write))
        (output, output_pipe, stdout), (errors, errors_pipe, stderr) = readers
        child = spawn(
            launch.command,
            title=launch.title,
            env=launch.env,
            cwd=launch.cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            hold=launch.hold,
        )
        on_failure.pop_all()
    wire = Wire(output, writer)
    hearing = asyncio.ensure_future(_hear(errors, launch.hear))
    pipes: list[asyncio.BaseTransport] = [writer, output_pipe, errors_pipe]
    return AgentProcess(child, wire, Connection(launch.handler, wire), hearing, pipes, launch)


class AgentProcess:
    def __init__(
        self,
        child: Child,
        wire: Wire,
        connection: Connection,
        hearing: asyncio.Future[None],
        pipes: Sequence[asyncio.BaseTransport],
        launch: Launch,
    ) -> None:
        self.wire = wire
        self._child, self._connection, self._hearing = child, connection, hearing
        self._pipes, self._launch = pipes, launch
        loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[None] = loop.create_future()
        #: Done when the process is asked to end; True: without closing its input first.
        self._asked: asyncio.Future[bool] = loop.create_future()
        #: How it took being asked to end, as the end of a sentence.
        self.manner = "ended when asked"
        loop.add_reader(child.fileno(), self._on_report)
        #: Done when nothing of it runs any more.
        self.over = asyncio.ensure_future(self._live())

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def ending(self) -> bool:
        return self.over.done() or self._asked.done() or self._gone.done() or self.wire.ended.done()

    def why(self) -> str:
        """Why it is gone, in a sentence."""
        if self._child.failure is not None:
            return f"cannot start the agent: {self._child.failure}"
        if self.wire.trouble:
            return f"the agent {self.wire.trouble}; it was ended"
        status = self._child.status
        if status is None:
            return "the agent was killed together with its shim"
        return f"the agent {'was ' if os.WIFSIGNALED(status) else ''}{exit_text(status)}"

    async def ask(self, method: str, params: BaseModel, answer: type[M]) -> M:
        """Send a request and wait for its answer.

        Raises ``AgentTrouble`` for an error or something that is no answer, ``AgentGone`` once
        the process has ended.
        """
        try:
            told = await self._connection.send_request(method, _json(params))
            return answer.model_validate(told)
        except RequestError as error:
            raise AgentTrouble(
                error_text(method, error.code), code=error.code, detail=f"{error} {error.data}"
            ) from None
        except ValidationError:
            raise AgentTrouble(
                f"the agent answered {method} with something else than the protocol has"
            ) from None
        except ConnectionError:
            await asyncio.shield(self.over)
            raise (CannotStart if self._child.failure else AgentGone)(self.why()) from None

    async def tell(self, method: str, params: BaseModel) -> None:
        """Send a notification; an agent that is gone misses it."""
        with contextlib.suppress(ConnectionError):
            await self._connection.send_notification(method, _json(params))

    async def end(self, *, at_once: bool = False) -> None:
        """End it, and return when nothing of it runs: its standard input is closed (not
        ``at_once``), then it gets SIGTERM, then SIGKILL.
        """
        if not self._asked.done():
            self._asked.set_result(at_once)
        await asyncio.shield(self.over)

    async def _live(self) -> None:
        await first_of(self._gone, self.wire.ended, self._asked)
        await self._end_all()
        if self._child.lost and self._launch.marks:
            # Without its shim, what left the program's group is nobody's child.
            await leftovers.until_none(self._launch.marks)
        # What it said last is still in the pipes.
        await asyncio.wait({self._hearing, self.wire.ended}, timeout=_LAST_WORDS)
        await self._connection.close()
        for pipe in self._pipes:
            pipe.close()
        self._hearing.cancel()

    async def _end_all(self) -> None:
        at_once = self._asked.done() and self._asked.result()
        if not self._gone.done() and not at_once:
            self._pipes[0].close()
            await asyncio.wait({self._gone}, timeout=self._launch.eof_grace)
            if not self._gone.done() and not self._asked.done() and not self.wire.trouble:
                self.wire.trouble = "closed its standard output and went on"
        if not self._gone.done():
            self._child.terminate()
            await asyncio.wait({self._gone}, timeout=self._launch.term_grace)
        if not self._gone.done():
            self._child.kill()
            grace = self._launch.term_grace
            self.manner = f"had to be killed {grace:g} s after it was told to end"
            await asyncio.wait({self._gone}, timeout=self._launch.kill_grace)
        if not self._gone.done():
            self._child.destroy()
            await self._gone

    def _on_report(self) -> None:
        control = self._child.fileno()
        self._child.read()
        if self._child.gone:
            asyncio.get_running_loop().remove_reader(control)
            self._gone.set_result(None)


def _json(params: BaseModel) -> dict[str, Any]:
    # Defaults are sent: an agent need not know which ones we think of.
    return params.model_dump(mode="json", by_alias=True, exclude_none=True)


async def _hear(reader: asyncio.StreamReader, hear: Callable[[bytes], None]) -> None:
    while data := await reader.read(65536):
        hear(data)


async def within(seconds: float, answer: Awaitable[M], what: str, wire: Wire) -> M:
    """``answer``, or ``AgentTrouble`` if it takes longer than ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        junk = ""
        if wire.junk:
            junk = (
                f"; it wrote {wire.junk} lines to standard output that are no JSON-RPC: is this"
                " the command that speaks ACP?"
            )
        raise AgentTrouble(f"the agent did not answer {what} within {seconds:g} s{junk}") from None
