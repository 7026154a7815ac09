"""The demo's verdict: what became of each message, from records that the host does not write
for this purpose: the simulator's, the ledger, the agents' run logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil

from raftsup.ledger import open_ledger
from raftsup.paths import StateDir
from raftsup.sim import agent
from raftsup.sim.workspace import Workspace
from raftsup.turn import State, Turn


@dataclass(frozen=True)
class Way:
    """A message's way through the host; times in Unix seconds."""

    text: str
    account: str
    sent: float
    #: The first wake that was accepted after it was sent, and its turn.
    woken: Turn | None
    #: The turn that answered.
    answered_by: Turn | None
    replies: list[float]


def turns_of(state: StateDir) -> list[Turn]:
    ledger = open_ledger(state.ledger, readonly=True)
    try:
        return sorted(ledger.recent(limit=100_000), key=lambda turn: turn.id)
    finally:
        ledger.close()


def ways_of(raft: Workspace, state: StateDir, profiles: Path) -> list[Way]:
    turns = {turn.id: turn for turn in turns_of(state)}
    answered = {}
    for account in {m["agent"].removeprefix("agent-") for m in raft.messages()}:
        for line in (_agent_dir(profiles, account) / agent.ANSWERED).read_text().splitlines():
            message_id, turn_id = line.split()
            answered[message_id] = turns.get(int(turn_id))
    replies = raft.replies()
    ways = []
    for message in raft.messages():
        account = message["agent"].removeprefix("agent-")
        later = (
            t for t in turns.values() if t.account == account and t.owed_at >= message["sent_at"]
        )
        ways.append(
            Way(
                message["text"],
                account,
                message["sent_at"],
                next(later, None),
                # The CLI prints of a message's id its first eight characters.
                answered.get(message["id"][:8]),
                [r.sent_at for r in replies if r.text == f"echo: {message['text']}"],
            )
        )
    return ways


def _agent_dir(profiles: Path, account: str) -> Path:
    return profiles / account / "agent"


def runs_of(profiles: Path, accounts: Iterable[str]) -> list[dict[str, Any]]:
    return [
        orjson.loads(line)
        for account in accounts
        for line in (_agent_dir(profiles, account) / agent.RUNS).read_bytes().splitlines()
    ]


def line(number: int, way: Way) -> str:
    def after(moment: float) -> str:
        return f"+{(moment - way.sent) * 1000:.0f} ms"

    words = [f"{number:>3}  {way.account:<12} message"]
    if way.woken is not None:
        words.append(f"wake {after(way.woken.owed_at)}")
    if (turn := way.answered_by) is not None:
        # A turn reads the whole inbox: one that ran already may answer.
        began = after(turn.started_at) if turn.started_at > way.sent else "(under way)"
        words.append(f"turn {turn.id} {began}")
    words += [f"reply {after(moment)}" for moment in way.replies] or ["NO REPLY"]
    return " -> ".join(words)


def problems(ways: list[Way], turns: list[Turn], runs: list[dict[str, Any]]) -> list[str]:
    """What the host promised and did not keep."""
    found = [
        f"{way.text} to {way.account}: {len(way.replies)} replies"
        for way in ways
        if len(way.replies) != 1
    ]
    found += [f"turn {t.id}: {t.state}, {t.reason}" for t in turns if t.state is not State.DONE]
    begun = [(run["turn"], run["attempt"]) for run in runs if run["event"] == "begin"]
    found += [
        f"turn {t}, attempt {a} was run twice" for t, a in {*begun} if begun.count((t, a)) > 1
    ]
    found += [
        f"turn {turn.id} was run {count} times" for turn in turns
        if (count := sum(t == str(turn.id) for t, _ in begun)) != turn.attempt
    ]  # fmt: skip
    found += [f"turns {r['turn']} overlapped" for r in runs if r["event"] == "overlap"]
    return found


def lives(process: psutil.Process) -> bool:
    """Whether it runs still: the same process, and no corpse."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
