"""Each account's profile: is it signed in, and is its agent the one that the config expects?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from raftsup import raft_errors
from raftsup.config.model import Account
from raftsup.ops import raft_cli
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, fail, good, warning
from raftsup.ops.raft_cli import CliTrouble, Whoami
from raftsup.raft_errors import Who

#: CLIs that are asked at once: each is a node process.
_AT_ONCE = 8
#: Seconds for one question.
_TIMEOUT_S = 15.0
_WHERE = "the token is on the agent's External Agent page in Raft"
#: In what the CLI says when it is not the profile that is at fault.
_UNREACHABLE = ("CHECK_FAILED", "SERVER_5XX", "gave no answer", "fetch failed")


def profiles(scene: Scene) -> Iterator[Finding]:
    # Without a CLI nobody can be asked: told by that check.
    asked = [a for a in scene.accounts if raft_cli.located(a.command, scene.env)]
    limit = scene.limit or _TIMEOUT_S
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda account: _ask(account, scene.env, limit), asked))
    for account, answer in zip(asked, answers, strict=True):
        cli = raft_cli.who_of(account.command, account.profile or "", scene.env)
        yield judge(account, answer, scene.file, bool(scene.pid), cli).of(account.id)
    agents = {a.id: w.agent_id for a, w in zip(asked, answers, strict=True)
              if isinstance(w, Whoami)}  # fmt: skip
    yield from shared(agents)


def _ask(account: Account, env: Mapping[str, str], limit: float) -> Whoami | CliTrouble:
    try:
        return raft_cli.confirmed(account.command, account.profile or "", env, limit)
    except CliTrouble as error:
        return error


def judge(
    account: Account,
    answer: Whoami | CliTrouble,
    file: str,
    running: bool = False,
    cli: Who | None = None,
) -> Finding:
    """``file``: where the account is written. ``running``: by a host. ``cli``: its profile."""
    who, profile = f"account {account.id}", account.profile
    cli = replace(cli or Who(profile or "", account.command), agent_id=account.agent_id)
    if isinstance(answer, CliTrouble):
        # It ends in what to do, for those who are shown nothing else.
        said = str(answer).split("; sign in")[0]
        what = f"{who}: profile {profile} cannot be asked whose it is: {said}"
        if any(word in said for word in _UNREACHABLE):
            return warning(what, "without Raft its bridge cannot connect; it tries again by itself",
                           cli.whoami, advice="it answers once the network is back")  # fmt: skip
        found = raft_errors.known(answer.code)
        if found is not None and not found.credential:
            advice = raft_errors.advice(answer.code, cli)[1]
            return fail(what, "its bridge ends at once: it takes no wake", advice=advice)
        return fail(what, "its bridge ends at once: it takes no wake", cli.login,
                   advice=_WHERE)  # fmt: skip
    told = f'agentId: "{answer.agent_id}"'
    fix = shlex.join(["raftsup", "setup", "--account", account.id, "--profile", profile or "",
                       "--agent-id", answer.agent_id, "--no-check", "--yes"])  # fmt: skip
    fix += " && raftsup reload" * running
    write = f"or write {told} for {account.id} in {file}, then `raftsup reload`"
    if account.agent_id is None:
        return fail(f"{who}: it has no agentId, its profile {profile} is of {answer.agent_id}",
                   "the Raft CLI refuses to start its bridge without", fix,
                   advice=write)  # fmt: skip
    if account.agent_id != answer.agent_id:
        return fail(f"{who}: its agentId is {account.agent_id}, and profile {profile} is signed in"
                   f" as {answer.agent_id}", "its bridge ends at once, so that no wake of another"
                   " agent is taken", fix, advice=f"{write}; or sign the right agent in as"
                   " another profile, and name that")  # fmt: skip
    if answer.refused:
        return fail(
            f"{who}: Raft refuses the credential of profile {profile}: {answer.refused}",
            "its agent can neither read nor answer, and no bridge can start with it",
            cli.login,
            advice=_WHERE,
        )
    if answer.unconfirmed:
        return warning(f"{who}: profile {profile} is of {answer.agent_id}; Raft could not be asked"
                       f" whether it is still good: {answer.unconfirmed}",
                       "without Raft its bridge cannot connect; it tries again by itself",
                       cli.whoami)  # fmt: skip
    return good(f"{who}: profile {profile} is signed in as {answer.agent_id} on {answer.server}",
                brief=answer.agent_id)  # fmt: skip


def shared(agents: Mapping[str, str]) -> Iterator[Finding]:
    """``agents``: of each account the agent behind its profile."""
    for agent in sorted(set(agents.values())):
        ids = [account for account, its in agents.items() if its == agent]
        if len(ids) > 1:
            yield fail(f"accounts {', '.join(ids)} are one Raft agent, {agent}, by two profiles",
                      "their bridges take each other's wakes",
                      f"raftsup account disable {ids[-1]}").of(*ids)  # fmt: skip
