"""The workspace in memory: who is in it, what was said, what is unread. No I/O.

Only what a person says wakes an agent; an agent's reply wakes nobody. A message's ``seq`` is its
wake hint's too, and a hint is pending until its agent has acknowledged the message.
Source of what is pending and of what acknowledges it: the server's routes/internalAgentApi.ts.
"""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from raftsup.sim import presence
from raftsup.sim.presence import Dot

DEFAULT_TARGET = "#general"


class UnknownAgent(KeyError):
    """No agent of this workspace has that name or id."""

    def __str__(self) -> str:
        return f"no agent {self.args[0]!r} in this workspace"


@dataclass(frozen=True)
class Agent:
    name: str
    id: str
    token: str


@dataclass(frozen=True)
class Message:
    """What a person told an agent; with ``app``, an event of that integration's, which belongs to
    no channel and has no ``seq`` on the wire. ``sent_at`` is in Unix seconds.
    """

    id: str
    seq: int
    agent: str
    target: str
    sender: str
    text: str
    sent_at: float
    app: str | None = None

    @property
    def wire_seq(self) -> int | None:
        return None if self.app else self.seq


@dataclass(frozen=True)
class Reply:
    """What an agent said. ``agent`` is its id."""

    id: str
    seq: int
    agent: str
    target: str
    text: str
    sent_at: float


@dataclass(frozen=True)
class Hints:
    """One page of pending hints, as messages; the wire form is the server's business."""

    pending: tuple[Message, ...]
    #: Of the page's newest; where it has none, what was asked for.
    last_seq: int | None
    has_more: bool


@dataclass(frozen=True)
class Batch:
    messages: tuple[Message, ...]
    #: Of the batch's newest; where it has none, what was asked for.
    cursor: int | None
    has_more: bool


def _token() -> str:
    return f"sk_agent_{secrets.token_hex(16)}"


def _message_id(seq: int) -> str:
    """A UUID: of it the CLI prints the first eight characters, which here are the ``seq``."""
    return str(uuid.UUID(int=(seq << 96) | secrets.randbits(64)))


class Workspace:
    """Thread-safe by one lock. ``changed`` lets a stream wait for news."""

    def __init__(self, clock: Callable[[], float] = time.time, first_seq: int = 1) -> None:
        self._clock = clock
        self._next_seq = first_seq
        self._agents: dict[str, Agent] = {}
        self._messages: list[Message] = []
        #: Of each agent, the messages that it has not acknowledged, in order.
        self._pending: dict[str, list[Message]] = {}
        self._delivered: dict[str, int] = {}
        self._read_at: dict[str, float] = {}
        self._replies: list[Reply] = []
        self._activity: list[dict[str, Any]] = []
        self._event_ids: set[tuple[str, str]] = set()
        self._dots: dict[str, Dot] = {}
        self._news = threading.Condition()
        self._version = 0

    def add_agent(self, name: str, id: str | None = None, token: str | None = None) -> Agent:
        agent = Agent(name, id or f"agent-{name}", token or _token())
        with self._news:
            self._agents[agent.id] = agent
            self._pending.setdefault(agent.id, [])
            self._delivered.setdefault(agent.id, 0)
        return agent

    def agents(self) -> list[Agent]:
        with self._news:
            return list(self._agents.values())

    def find(self, name_or_id: str) -> Agent:
        """Raises ``UnknownAgent``."""
        for agent in self.agents():
            if name_or_id in (agent.id, agent.name):
                return agent
        raise UnknownAgent(name_or_id)

    def by_token(self, token: str) -> Agent | None:
        return next((a for a in self.agents() if secrets.compare_digest(a.token, token)), None)

    def renew_token(self, name_or_id: str) -> Agent:
        """Give an agent another token: the one that it had is revoked. Raises ``UnknownAgent``."""
        agent = self.find(name_or_id)
        renewed = replace(agent, token=_token())
        with self._news:
            self._agents[agent.id] = renewed
            self._wake_streams()
        return renewed

    def post(
        self,
        to: str,
        text: str,
        target: str = DEFAULT_TARGET,
        sender: str = "@person",
        app: str | None = None,
    ) -> Message:
        """A person tells an agent something, or an app does. Raises ``UnknownAgent``."""
        agent = self.find(to)
        with self._news:
            seq = self._seq()
            message = Message(
                _message_id(seq), seq, agent.id, target, sender, text, self._clock(), app
            )
            self._messages.append(message)
            self._pending[agent.id].append(message)
            self._delivered[agent.id] += 1
            self._wake_streams()
        return message

    def _seq(self) -> int:
        self._next_seq += 1
        return self._next_seq - 1

    def hints(self, agent_id: str, since: int | None, limit: int = 50) -> Hints:
        """Pending hints after ``since``; None (also ``latest``) means all. Consumes nothing."""
        with self._news:
            waiting = self._pending[agent_id]
        pending = [m for m in waiting if since is None or m.app or m.seq > since]
        page = pending[:limit]
        last = page[-1].wire_seq if page else None
        return Hints(tuple(page), since if last is None else last, len(pending) > limit)

    def delivered(self, agent_id: str) -> int:
        """How many messages that agent was ever sent."""
        with self._news:
            return self._delivered[agent_id]

    def pull(self, agent_id: str, since: int | None = None, limit: int = 50) -> Batch:
        """The next unread messages. ``since`` acknowledges all up to it; what has no ``seq`` is
        acknowledged as it is given.
        """
        if since is not None:
            self._acknowledge(agent_id, lambda m: not m.app and m.seq <= since)
        with self._news:
            unread = list(self._pending[agent_id])
        batch = unread[:limit]
        self._acknowledge(agent_id, lambda m: bool(m.app) and m in batch)
        last = batch[-1].wire_seq if batch else None
        return Batch(tuple(batch), since if last is None else last, len(unread) > limit)

    def take(self, agent_id: str, limit: int = 50) -> Batch:
        """The next unread messages, acknowledged as they are given: what gets lost is lost."""
        batch = self.pull(agent_id, None, limit)
        self._acknowledge(agent_id, lambda m: m in batch.messages)
        return batch

    def _acknowledge(self, agent_id: str, read: Callable[[Message], bool]) -> None:
        with self._news:
            now = self._clock()
            self._read_at |= {m.id: now for m in self._pending[agent_id] if read(m)}
            self._pending[agent_id] = [m for m in self._pending[agent_id] if not read(m)]

    def said_in(self, agent_id: str, target: str) -> list[Message]:
        """What people told an agent at a target, in order."""
        with self._news:
            return [
                m for m in self._messages if (m.agent, m.target, m.app) == (agent_id, target, None)
            ]

    def acknowledge(self, agent_id: str, target: str, upto: int) -> None:
        """Of a target, all up to that ``seq``: what a held send has shown."""
        self._acknowledge(agent_id, lambda m: not m.app and m.target == target and m.seq <= upto)

    def read_upto(self, agent_id: str, target: str) -> int | None:
        """The newest message at a target that the agent has acknowledged."""
        with self._news:
            read = set(self._read_at)
        return max((m.seq for m in self.said_in(agent_id, target) if m.id in read), default=None)

    def history(self, agent_id: str, target: str) -> list[Message | Reply]:
        """What an agent and people told each other at a target, in order."""
        with self._news:
            mine = [r for r in self._replies if (r.agent, r.target) == (agent_id, target)]
        return sorted([*self.said_in(agent_id, target), *mine], key=lambda said: said.seq)

    def reply(self, agent_id: str, target: str, text: str) -> Reply:
        with self._news:
            seq = self._seq()
            reply = Reply(_message_id(seq), seq, agent_id, target, text, self._clock())
            self._replies.append(reply)
        return reply

    def ingest(self, agent_id: str, events: list[dict[str, Any]]) -> int:
        """Take an agent's activity; how many of it. Raises ``BadReport``, and takes nothing."""
        presence.check(events)
        with self._news:
            return sum(self._take(agent_id, event) for event in events)

    def _take(self, agent_id: str, event: dict[str, Any]) -> bool:
        key, now = (agent_id, str(event.get("eventId", ""))), self._clock()
        if key in self._event_ids or not presence.orderable(event):
            return False
        if key[1]:
            self._event_ids.add(key)
        self._activity.append({"agent": agent_id, "receivedAt": now, "event": event})
        dot = presence.newest(self._dots.get(agent_id), event, now)
        if dot is not None:
            self._dots[agent_id] = dot
        return True

    def dots(self) -> dict[str, Dot]:
        """What each agent that ever reported was last doing, by its name."""
        with self._news:
            return {a.name: self._dots[a.id] for a in self._agents.values() if a.id in self._dots}

    def messages(self) -> list[dict[str, Any]]:
        """All messages in order, each with ``read_at`` (None while unread)."""
        with self._news:
            return [{**asdict(m), "read_at": self._read_at.get(m.id)} for m in self._messages]

    def replies(self) -> list[Reply]:
        with self._news:
            return list(self._replies)

    def activity(self) -> list[dict[str, Any]]:
        with self._news:
            return list(self._activity)

    def version(self) -> int:
        with self._news:
            return self._version

    def changed(self, seen: int, timeout: float) -> int:
        """The version as soon as it differs from ``seen``, at the latest after ``timeout`` s."""
        with self._news:
            self._news.wait_for(lambda: self._version != seen, timeout)
            return self._version

    def nudge(self) -> None:
        """Let every waiting stream look again (a fault was set, the server closes)."""
        with self._news:
            self._wake_streams()

    def _wake_streams(self) -> None:
        self._version += 1
        self._news.notify_all()
