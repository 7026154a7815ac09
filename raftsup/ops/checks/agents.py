"""The agents: can each be reached, and could it call the Raft CLI."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from raftsup.config.model import AcpAgent, CommandAgent
from raftsup.ops import live, raft_cli
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, bad, good, warning
from raftsup.ops.live import Tried

#: Seconds for one agent.
_PATIENCE = 20.0


def agents(scene: Scene) -> Iterator[Finding]:
    if scene.config is None:
        return
    if scene.problems:
        yield warning("agents are not tried: the config is not whole", "they may be away",
                      "raftsup config check", advice="once that is good, `raftsup doctor` tries"
                      " them")  # fmt: skip
        return
    if not scene.ours or not scene.state.lock.exists():
        # Trying one may make this host's identity there.
        yield good("agents are tried once a host has run here, or by `raftsup config check --live`")
        return
    for tried in live.try_on(scene.config, scene.state, scene.env, _PATIENCE):
        yield from judge(tried)


def judge(tried: Tried) -> Iterator[Finding]:
    """What was found of one agent."""
    which = f"agent {tried.kind} of {', '.join(tried.accounts)}"
    for found in tried.findings:
        if found.good:
            yield good(f"{which}: {found.text}")
        else:
            what, _, fix = found.text.partition("; ")
            yield bad(f"{which}: {what}", "wakes are accepted and kept, no turn of it runs",
                      advice=f"{fix or 'start it, or correct its address'}; then `raftsup config"
                      " check --live` tries it again")  # fmt: skip


def reach(scene: Scene) -> Iterator[Finding]:
    """A turn whose agent never calls the CLI is done, and nobody is answered."""
    behind: list[str] = []
    for account in scene.accounts:
        agent = account.agent
        raft = shlex.join([*account.command, "--profile", account.profile or ""])
        if not isinstance(agent, CommandAgent | AcpAgent):
            behind.append(account.id)
        elif raft_cli.located(account.command, scene.env) is None:
            continue  # nobody finds it: told by that check
        elif raft_cli.located(account.command, {**scene.env, **agent.env}) is None:
            yield bad(f"account {account.id}: its agent cannot find {account.command[0]} on its own"
                      " PATH", f"it can neither read (`{raft} message check`) nor answer",
                      advice=f"take PATH out of its env in {scene.file}, or add the CLI's folder to"
                      " it")  # fmt: skip
        elif isinstance(agent, AcpAgent) and agent.permissions == "deny":
            yield warning(f"account {account.id}: its agent is refused whatever it asks leave for",
                          "one that asks before it runs a command cannot call the Raft CLI",
                          advice='write permissions: ["execute"] for its agent in'
                          f" {scene.file}, if its turns send no reply")  # fmt: skip
    if behind:
        yield good(f"whether the agents of {', '.join(behind)} may run the Raft CLI is not seen"
                   " from here: if turns end without a reply in Raft, let their tool policy run"
                   " `raft --profile <profile> message check`, `message read` and `message"
                   " send`")  # fmt: skip
