"""One attempt at a turn: what its runner gets, and its deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from raftsup import hook_token
from raftsup.config.model import Account, CommandAgent, Turns
from raftsup.log import say
from raftsup.paths import StateDir
from raftsup.proc.env import clean_env
from raftsup.runners.base import AttemptSpec, Runner, Step, Stop
from raftsup.turn import Outcome, OutcomeKind, Turn, notice

LOG = logging.getLogger("raftsup.dispatcher")


@dataclass
class Running:
    """A turn under way, the lane and the Raft profile that it started with, and the way to end it
    early.
    """

    turn: Turn
    lane: str
    profile: str | None
    stop: Stop
    #: When it is told to end (Unix seconds); None before its runner has it.
    due_at: float | None = None


def under_way(turn: Turn, lane: str, profile: str | None) -> Running:
    return Running(turn, lane, profile, asyncio.get_running_loop().create_future())


def marks(turn: Turn, state: StateDir) -> dict[str, str]:
    """The environment that tells an attempt's processes from all others."""
    return {
        "RAFTSUP_STATE_DIR": str(state.root),
        "RAFTSUP_TURN": str(turn.id),
        "RAFTSUP_ATTEMPT": str(turn.attempt),
    }


def hooks(turn: Turn, account: Account, state: StateDir) -> dict[str, str]:
    """What the hooks of the attempt's agent need to tell Raft which tools it uses.

    For commands alone. A process that stays from turn to turn (ACP) has the environment that it
    was started with, and its runner sees its tools; the agents elsewhere have none from us.
    """
    if account.activity == "off" or not isinstance(account.agent, CommandAgent):
        return {}
    return hook_token.environment(state.hooks(turn.account), (turn.id, turn.attempt))


def seconds_left(turn: Turn, settings: Turns, now: float) -> float:
    """What the attempt has left of ``turns.timeout``; a predecessor may have used a part."""
    return min(max(0.0, turn.started_at + settings.timeout - now), settings.timeout)


def work_of(
    turn: Turn,
    account: Account,
    settings: Turns,
    state: StateDir,
    environ: Mapping[str, str],
    *,
    seconds: float,
    remember: Callable[[str], Awaitable[None]],
    report: Callable[[Step], None],
) -> AttemptSpec:
    profile = account.profile or ""
    return AttemptSpec(
        turn=turn,
        profile=profile,
        notice=notice(account.command, profile),
        transcript=state.transcript(turn.id, turn.attempt),
        limit=settings.transcript,
        env={
            **clean_env(environ),
            **marks(turn, state),
            "RAFT_PROFILE": profile,
            "RAFTSUP_ACCOUNT": turn.account,
            **hooks(turn, account, state),
        },
        seconds=seconds,
        remember=remember,
        handle=turn.handle,
        report=report,
    )


async def run(runner: Runner, work: AttemptSpec, stop: Stop, timeout: float) -> Outcome:
    """Run ``work``, ended as TIMED_OUT when its seconds are over. Never raises.

    ``timeout``: turns.timeout, of which a predecessor may have used a part.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.call_later(work.seconds, end_early, stop, OutcomeKind.TIMED_OUT)
    try:
        outcome = await runner.run(work, stop)
    except Exception as error:
        LOG.exception(say("runner.broke", turn=work.turn.id, account=work.turn.account))
        return Outcome(OutcomeKind.FAILED, f"the runner broke: {type(error).__name__}")
    finally:
        deadline.cancel()
    if outcome.kind is OutcomeKind.TIMED_OUT:
        return replace(outcome, reason=f"ran over turns.timeout ({timeout:g} s); {outcome.reason}")
    return outcome


def final(outcome: Outcome, stop: Stop) -> Outcome:
    """The outcome, given that the run was told to end: a word that was given stands, unless the
    turn's work was done all the same, or goes on.
    """
    stands = (OutcomeKind.SUCCEEDED, OutcomeKind.LEFT_RUNNING)
    if stop.done() and outcome.kind not in stands:
        return replace(outcome, kind=stop.result())
    return outcome


def end_early(stop: Stop, kind: OutcomeKind) -> None:
    """Ask a runner to end its run as ``kind``; the first word stands."""
    if not stop.done():
        stop.set_result(kind)
