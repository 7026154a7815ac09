"""A lane with the test agent (``acp_agent.py``) in it, for tests of the ACP runner."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raftsup.config.model import AcpAgent
from raftsup.paths import StateDir
from raftsup.runners.acp.runner import AcpRunner, Timings
from raftsup.runners.base import AttemptSpec, RunnerContext, Step, Stop
from raftsup.turn import Outcome, OutcomeKind, State, Turn

AGENT = str(Path(__file__).with_name("acp_agent.py"))
NOTICE = "Raft woke you."


@dataclass
class Lane:
    state: StateDir
    cwd: Path
    steps: list[Step] = field(default_factory=list)
    changes: int = 0
    turns: int = 0

    @property
    def notes(self) -> list[dict[str, Any]]:
        path = self.cwd / "notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def noted(self, name: str) -> list[Any]:
        return [note[name] for note in self.notes if name in note]

    def sent(self) -> list[dict[str, Any]]:
        """Every message that our client sent."""
        return [json.loads(line) for line in (self.cwd / "tee").read_bytes().splitlines()]

    def agent(self, do: str = "", **settings: Any) -> AcpAgent:
        env = {
            "ACP_DO": do,
            "ACP_NOTES": str(self.cwd / "notes"),
            "ACP_TEE": str(self.cwd / "tee"),
        }
        return AcpAgent((sys.executable, AGENT), str(self.cwd), env, **settings)

    def runner(self, agent: AcpAgent, timings: Timings | None = None) -> AcpRunner:
        def changed() -> None:
            self.changes += 1

        env = {"PATH": os.environ["PATH"], "HOME": str(self.cwd), "OF_THE_SEAT": "1"}
        return AcpRunner(RunnerContext(agent, "lane / one", env, self.state, changed), timings)

    def work(self) -> AttemptSpec:
        self.turns += 1
        turn = Turn(self.turns, "support", State.RUNNING, attempt=1)
        transcript = self.state.transcript(turn.id, 1)
        return AttemptSpec(
            turn, "profile", NOTICE, transcript, 10_000, {}, report=lambda s: self.steps.append(s)
        )

    def said(self, turn: int | None = None) -> str:
        return self.state.transcript(turn or self.turns, 1).read_text()

    def run(
        self, do: str = "", times: int = 1, timings: Timings | None = None, **settings: Any
    ) -> list[Outcome]:
        """``times`` turns, one after the other, of one runner."""

        async def story() -> list[Outcome]:
            async with Seated(self, do, timings, **settings) as runner:
                return [await turn(self, runner) for _ in range(times)]

        return asyncio.run(story())


class Seated:
    """A runner of ``lane``'s that is closed at the end."""

    def __init__(
        self, lane: Lane, do: str = "", timings: Timings | None = None, **settings: Any
    ) -> None:
        self._runner = lane.runner(lane.agent(do, **settings), timings)

    async def __aenter__(self) -> AcpRunner:
        return self._runner

    async def __aexit__(self, *_: object) -> None:
        await asyncio.wait_for(self._runner.close(), 20)


async def turn(lane: Lane, runner: AcpRunner, stop: Stop | None = None) -> Outcome:
    stop = stop or asyncio.get_running_loop().create_future()
    return await asyncio.wait_for(runner.run(lane.work(), stop), 30)


async def stopped_turn(
    lane: Lane, runner: AcpRunner, kind: OutcomeKind, when: Callable[[], object]
) -> Outcome:
    """A turn that is told to end, as ``kind``, once ``when`` is true."""
    stop: Stop = asyncio.get_running_loop().create_future()
    running = asyncio.ensure_future(turn(lane, runner, stop))
    await until(when)
    stop.set_result(kind)
    return await running


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.005)
