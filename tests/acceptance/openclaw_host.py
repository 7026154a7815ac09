"""A host before a real OpenClaw Gateway, and what tests wait for in it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from raftsup.ledger import open_ledger
from raftsup.turn import ENDED, State, Turn
from tests.acceptance.openclaw import STUCK, OpenClaw
from tests.integration.host import Host, running, wait_for


@contextlib.contextmanager
def host_of(openclaw: OpenClaw, agents: dict[str, dict[str, Any]], **turns: Any) -> Iterator[Host]:
    """A host that is configured, not started: an account for each of ``agents``, by what its
    agent has beyond the Gateway.
    """
    with running(list(agents)) as host:
        openclaw.use(host.profiles)
        configure(host, openclaw, agents, **turns)
        yield host


def configure(
    host: Host, openclaw: OpenClaw, agents: dict[str, dict[str, Any]], **turns: Any
) -> None:
    """Write the config file; what an agent has as None is left out."""
    accounts = {
        name: {"agent": {k: v for k, v in openclaw.agent(**agent).items() if v is not None}}
        for name, agent in agents.items()
    }
    host.configure(accounts, turns=turns)


def turns_of(host: Host) -> list[Turn]:
    """Oldest first."""
    ledger = open_ledger(host.state.ledger, readonly=True)
    try:
        return sorted(ledger.recent(limit=10_000), key=lambda turn: turn.id)
    finally:
        ledger.close()


def all_ended(host: Host, seconds: float = 60.0) -> list[Turn]:
    """Wait until there are turns and none of them is owed or runs; all of them."""

    def look() -> list[Turn]:
        turns = turns_of(host)
        return turns if all(turn.state in ENDED for turn in turns) else []

    with host._told():
        return wait_for(look, seconds, "the end of every turn")


def first_attempts(host: Host, turns: list[Turn]) -> None:
    """Check that every turn was done in its first attempt that the Gateway did not fail itself."""
    told = (host.state.logs / "dispatcher.log").read_text()
    assert {turn.state for turn in turns} == {State.DONE}, turns
    more = sum(turn.attempt - 1 for turn in turns)
    assert more == len(re.findall(f"action=turn.postpone .*({'|'.join(STUCK)})", told)), told


def answered(host: Host, *texts: str) -> None:
    """Wait until each of these messages has its answer."""
    wanted = {f"echo: {text}" for text in texts}
    with host._told():
        wait_for(lambda: wanted <= {reply.text for reply in host.raft.workspace.replies()}, 60.0)


def degraded(host: Host, because: str, account: str = "support") -> str:
    """Wait until the account's status is degraded for this reason; the whole reason."""

    def look() -> str:
        now = host.account(account)
        found = now["state"] == "degraded" and because in now["reason"]
        return str(now["reason"]) if found else ""

    try:
        return wait_for(look)
    except AssertionError as error:
        raise AssertionError(f"{error}: {host.account(account)}\n{host.said()}") from None


def owed(host: Host, account: str = "support") -> None:
    """Wait until a wake was accepted and its turn waits."""
    wait_for(lambda: host.account(account)["turns"]["queued"] == 1)
