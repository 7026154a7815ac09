"""An agent that is a command: started for the turn, without a shell, gone after it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from raftsup.config.model import CommandAgent
from raftsup.proc.child import Child, IdleShim, exit_text, spawn
from raftsup.runners import leftovers, program
from raftsup.runners.base import AttemptSpec, Stop
from raftsup.runners.transcript import Bounded, locked
from raftsup.turn import Outcome, OutcomeKind
from raftsup.wait import first_of

#: Seconds between the polite end of a turn and the hard one.
TERM_GRACE_S = 5.0
#: Seconds that a shim has to carry that out.
KILL_GRACE_S = 2.0
#: Seconds that the output of a turn of which nothing runs may still be read for.
_LAST_WORDS_S = 2.0
#: Stands for the notice in an argument; without it the notice goes to standard input.
PLACEHOLDER = "{notice}"


class CommandRunner:
    """``env``: what the agent's own variables are laid over."""

    def __init__(
        self,
        agent: CommandAgent,
        env: Mapping[str, str],
        idle: IdleShim | None = None,
        term_grace: float = TERM_GRACE_S,
    ) -> None:
        self._agent, self._env, self._idle = agent, env, idle or IdleShim()
        self._term_grace = term_grace

    def unavailable(self) -> str:
        return program.away(self._agent, self._env)

    async def close(self) -> None:
        pass

    async def run(self, work: AttemptSpec, stop: Stop) -> Outcome:
        lock = locked(work.transcript)
        if isinstance(lock, Outcome):
            return lock
        try:
            return await self._run(work, stop, lock)
        except OSError as error:
            # No process or descriptor to be had: this host's trouble, not the turn's failure.
            return Outcome(OutcomeKind.POSTPONED, f"cannot start the agent: {error.strerror}")
        finally:
            os.close(lock)

    async def _run(self, work: AttemptSpec, stop: Stop, lock: int) -> Outcome:
        command = program.argv(self._agent)
        argv = [word.replace(PLACEHOLDER, work.notice) for word in command]
        by_argument = argv != command
        cwd = str(Path(self._agent.cwd).expanduser()) if self._agent.cwd else None
        marks = leftovers.marks_in(work.env)
        stdin = _filled_pipe("" if by_argument else work.notice)
        output, write_end = os.pipe()
        try:
            child = spawn(
                argv,
                title=f"raftsup: turn {work.turn.id} of {work.turn.account}",
                # The marks are ours: by them a lost process is found.
                env={**work.env, **self._agent.env, **marks},
                cwd=cwd,
                stdin=stdin,
                stdout=write_end,
                stderr=write_end,
                hold=(lock,),
                waiting=self._idle.take(),
            )
            # The next turn's shim, once this one is on its way.
            asyncio.get_running_loop().call_soon(self._idle.refill)
        except OSError:
            os.close(output)
            raise
        finally:
            os.close(stdin)
            os.close(write_end)
        transcript = Bounded(lock, work.limit)
        reading = asyncio.ensure_future(_copy(output, transcript))
        try:
            stopped = await _until_gone(child, stop, self._term_grace)
            if child.lost:
                # Without its shim, what left the program's group is nobody's child.
                await leftovers.until_none(marks)
        finally:
            # Nothing of the turn runs any more, so its output ends; but for what a killed shim let
            # go and that has cleaned its environment.
            await asyncio.wait({reading}, timeout=_LAST_WORDS_S)
            reading.cancel()
            await asyncio.wait({reading})
            with contextlib.suppress(OSError):
                transcript.close()
        return stopped or _outcome(child)


def _outcome(child: Child) -> Outcome:
    if child.failure is not None:
        # Nothing of it ran: the turn has not failed, and its lane waits.
        return Outcome(OutcomeKind.POSTPONED, f"cannot start the agent: {child.failure}")
    if child.status == 0:
        return Outcome(OutcomeKind.SUCCEEDED)
    if child.status is None:
        return Outcome(OutcomeKind.FAILED, "the agent was killed together with its shim")
    was = "was " if os.WIFSIGNALED(child.status) else ""
    return Outcome(OutcomeKind.FAILED, f"the agent {was}{exit_text(child.status)}")


async def _until_gone(child: Child, stop: Stop, grace: float) -> Outcome | None:
    """Wait until nothing of the child runs; an outcome if ``stop`` had to end it."""
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    control = child.fileno()

    def on_report() -> None:
        child.read()
        if child.gone:
            loop.remove_reader(control)
            gone.set_result(None)

    loop.add_reader(control, on_report)
    await first_of(gone, stop)
    if gone.done():
        return None
    child.terminate()
    await asyncio.wait({gone}, timeout=grace)
    how = "ended when asked"
    if not gone.done():
        child.kill()
        how = f"had to be killed {grace:g} s after it was asked to end"
        await asyncio.wait({gone}, timeout=KILL_GRACE_S)
    if not gone.done():
        child.destroy()
        await gone
    return Outcome(stop.result(), f"the agent {how}")


async def _copy(descriptor: int, transcript: Bounded) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    full = False
    try:
        while data := await reader.read(65536):
            # Keep reading when the disk is full: the agent must not hang on its output.
            if not full:
                try:
                    transcript.write(data)
                except OSError:
                    full = True
    finally:
        transport.close()


def _filled_pipe(text: str) -> int:
    """The read end of a pipe that holds ``text`` and then ends. A notice fits a pipe's buffer."""
    read, write = os.pipe()
    try:
        os.write(write, text.encode())
    finally:
        os.close(write)
    return read
