"""The agents: can each be reached, and could it call the Raft CLI."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

from raftsup.config.model import AcpAgent, CommandAgent, OpenClawAgent
from raftsup.config.placeholders import placeholders_in
from raftsup.ops import live, raft_cli
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, fail, good, untried, warning
from raftsup.ops.live import Tried

#: Seconds for one agent.
_TIMEOUT_S = 20.0


def agents(scene: Scene) -> Iterator[Finding]:
    if scene.config is None:
        return
    there = scene.tries_all or (scene.ours and scene.state.lock.exists())
    tried = []
    for account in scene.accounts:
        if unset := placeholders_in(account.agent):
            why = f"{' and '.join(unset)} is not set in this shell; the host may have it"
        elif isinstance(account.agent, OpenClawAgent) and not there:
            # Trying one may make this host's identity there.
            why = "a host has to run here once, or `raftsup config check --live` tries it"
        else:
            tried.append(account)
            continue
        yield untried(f"agent of {account.id}: not tried: {why}").of(account.id)
    config = replace(scene.config, accounts=tuple(tried))
    for one in live.try_on(config, scene.state, scene.env, scene.limit or _TIMEOUT_S):
        yield from judge(one)


def judge(tried: Tried) -> Iterator[Finding]:
    """What was found of one agent."""
    which = f"agent {tried.kind} of {', '.join(tried.accounts)}"
    for found in tried.findings:
        facts = {"kind": tried.kind, "good": found.good, "text": found.text}
        if found.good:
            finding = good(f"{which}: {found.text}", brief=tried.kind)
        else:
            what, _, fix = found.text.partition("; ")
            finding = fail(f"{which}: {what}", "wakes are accepted and kept, no turn of it runs",
                          advice=f"{fix or 'start it, or correct its address'}; then"
                          " `raftsup config check --live` tries it again")  # fmt: skip
        yield replace(finding, accounts=tried.accounts, facts=facts)


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
            yield fail(f"account {account.id}: its agent cannot find {account.command[0]} on its"
                      " own PATH", f"it can neither read (`{raft} message check`) nor answer",
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
