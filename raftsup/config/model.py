"""What a config is: frozen values, already checked. Durations are seconds, sizes are bytes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal


def _secret() -> Any:
    """An optional key: ``repr`` and ``describe`` never show it."""
    return field(default=None, repr=False, metadata={"secret": True})


def _secrets() -> Any:
    """A mapping whose values often are keys."""
    return field(
        default_factory=lambda: MappingProxyType({}), repr=False, metadata={"secret": True}
    )


@dataclass(frozen=True)
class CommandAgent:
    """An agent that is a command, started anew for each turn."""

    command: tuple[str, ...]
    cwd: str | None = None
    env: Mapping[str, str] = _secrets()
    kind: Literal["command"] = "command"


@dataclass(frozen=True)
class OpenClawAgent:
    """An agent behind an OpenClaw Gateway, reached by the Gateway's own WebSocket protocol."""

    #: ``ws://`` on loopback, ``wss://`` anywhere.
    url: str
    #: Which of the Gateway's agents; None: its default.
    agent_id: str | None = None
    #: The Gateway's session; None: one of the lane's own.
    session_key: str | None = None
    token: str | None = _secret()
    password: str | None = _secret()
    #: SHA-256 of the certificate that the Gateway must show, in hex; None: one of a known issuer.
    tls_fingerprint: str | None = None
    kind: Literal["openclaw"] = "openclaw"


@dataclass(frozen=True)
class AcpAgent:
    """An agent that speaks the Agent Client Protocol over standard input and output."""

    command: tuple[str, ...]
    cwd: str | None = None
    env: Mapping[str, str] = _secrets()
    #: What is said when it asks: all, nothing, or what is in this list of ACP tool kinds.
    permissions: Literal["allow", "deny"] | tuple[str, ...] = "deny"
    kind: Literal["acp"] = "acp"


@dataclass(frozen=True)
class OpenAIAgent:
    """An agent behind an OpenAI-style HTTP endpoint."""

    #: What ``/responses`` or ``/chat/completions`` is appended to: ``http://127.0.0.1:18789/v1``.
    base_url: str
    model: str
    api: Literal["responses", "chat"] = "responses"
    api_key: str | None = _secret()
    #: Names a stable session (the field ``user``); None: one of the lane's own.
    session: str | None = None
    #: A header that carries the session besides.
    session_header: str | None = None
    headers: Mapping[str, str] = _secrets()
    kind: Literal["openai"] = "openai"


Agent = CommandAgent | OpenClawAgent | AcpAgent | OpenAIAgent


@dataclass(frozen=True)
class Account:
    """One Raft external agent."""

    id: str
    enabled: bool
    #: The Raft CLI's profile; None only where ``problem`` says so.
    profile: str | None
    #: Given to the bridge as the agent id that it must find behind the profile.
    agent_id: str | None
    #: The Raft CLI's argv prefix.
    command: tuple[str, ...]
    agent: Agent | None
    lane: str
    #: What Raft is told while a turn runs: nothing, or that and which steps, content-free.
    activity: Literal["off", "turns"] = "off"
    name: str | None = None
    #: Why this account cannot run, with its path in the file and what to write; None if it can.
    problem: str | None = None

    @property
    def runs(self) -> bool:
        return self.enabled and self.problem is None


@dataclass(frozen=True)
class Turns:
    concurrency: int = 4
    timeout: float = 600.0
    attempts: int = 3
    coalesce: Literal["none", "queued"] = "none"
    #: How long a stop waits for running turns before it interrupts them.
    drain: float = 20.0
    #: Ended turns kept for people to look at: so many, for so long.
    keep: int = 1000
    keep_for: float = 7 * 86400.0
    #: A transcript's size; the middle of a longer one is dropped.
    transcript: int = 256 * 1024
    #: First and longest pause of a lane whose turns keep failing. Three attempts take longer than
    #: a bridge takes to notice that Raft is away or refuses it: that then costs no more attempts.
    pause: float = 10.0
    max_pause: float = 300.0


@dataclass(frozen=True)
class Dedupe:
    ttl: float = 86400.0
    max_entries: int = 10000


@dataclass(frozen=True)
class LedgerSettings:
    #: The most that the ledger's file may grow to. Taken at its first start.
    map_size: int = 1 << 30


@dataclass(frozen=True)
class Supervisor:
    reload: Literal["off", "hot", "restart", "hybrid"] = "hybrid"
    #: A program that has not proved itself alive for so long is killed and restarted.
    watchdog: float = 20.0
    #: A bridge that has said nothing for so long counts as deaf (a healthy one speaks every 25 s).
    bridge_silence: float = 90.0
    #: And is restarted after so long.
    bridge_restart: float = 180.0


@dataclass(frozen=True)
class Config:
    #: None where there is no file (only ``RAFT_PROFILE``).
    path: Path | None
    accounts: tuple[Account, ...]
    default_account: str | None = None
    turns: Turns = Turns()
    dedupe: Dedupe = Dedupe()
    ledger: LedgerSettings = LedgerSettings()
    supervisor: Supervisor = Supervisor()

    def account(self, account_id: str) -> Account | None:
        return next((a for a in self.accounts if a.id == account_id), None)

    def warning(self, account: Account) -> str | None:
        """What will keep an account from working, though it is tried."""
        if not account.runs:
            return None
        if account.agent_id is None:
            return (
                "it has no agentId, without which the Raft CLI starts no bridge: write the one that"
                f" `raft --profile {shlex.quote(account.profile or '')} auth whoami` tells"
            )
        same = [a.id for a in self.accounts if a.runs and a.agent_id == account.agent_id]
        if len(same) == 1:
            return None
        others = ", ".join(id_ for id_ in same if id_ != account.id)
        return (
            f"it is the Raft agent {account.agent_id}, and so is {others}: their bridges take each"
            " other's wakes; disable one, or correct its agentId"
        )
