"""Each account's profile: is it signed in, and is its agent the one that the config expects?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from raftsup import raft_errors
from raftsup.config.model import Account, Config
from raftsup.ops import raft_cli
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, bad, good, warning
from raftsup.ops.raft_cli import CliTrouble, Whoami
from raftsup.paths import default_config_path
from raftsup.raft_errors import Who

#: CLIs that are asked at once: each is a node process.
_AT_ONCE = 8
#: Seconds for one question.
_PATIENCE = 15.0
_WHERE = "the token is on the agent's External Agent page in Raft"
#: In what the CLI says when it is not the profile that is at fault.
_UNREACHABLE = ("CHECK_FAILED", "SERVER_5XX", "gave no answer", "fetch failed")


def profiles(scene: Scene) -> Iterator[Finding]:
    # Without a CLI nobody can be asked: told by that check.
    asked = [a for a in scene.accounts if raft_cli.located(a.command, scene.env)]
    yield from look(asked, scene.env, scene.file, running=bool(scene.pid))


def look(
    asked: Sequence[Account], env: Mapping[str, str], file: str, *, running: bool
) -> Iterator[Finding]:
    """Whose the profile of each account is, now. ``env``, ``file`` and ``running`` as ``Scene`` has
    them.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda account: _ask(account, env), asked))
    for account, answer in zip(asked, answers, strict=True):
        cli = raft_cli.who_of(account.command, account.profile or "", env)
        yield judge(account, answer, file, running, cli)
    agents = {a.id: w.agent_id for a, w in zip(asked, answers, strict=True)
              if isinstance(w, Whoami)}  # fmt: skip
    yield from shared(agents)


def of_config(config: Config, running: bool, env: Mapping[str, str]) -> Iterator[Finding]:
    """The same of a config's accounts, for ``config check --live``."""
    wanted = [account for account in config.accounts if account.runs]
    asked = [account for account in wanted if raft_cli.located(account.command, env)]
    for command in dict.fromkeys(a.command for a in wanted if a not in asked):
        yield bad(raft_cli.missing(command), "no bridge can be started")
    yield from look(asked, env, str(config.path or default_config_path(env)), running=running)


def _ask(account: Account, env: Mapping[str, str]) -> Whoami | CliTrouble:
    try:
        return raft_cli.confirmed(account.command, account.profile or "", env, _PATIENCE)
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
            return bad(what, "its bridge ends at once: it takes no wake", advice=advice)
        return bad(what, "its bridge ends at once: it takes no wake", cli.login,
                   advice=_WHERE)  # fmt: skip
    told = f'agentId: "{answer.agent_id}"'
    fix = shlex.join(["raftsup", "setup", "--account", account.id, "--profile", profile or "",
                       "--agent-id", answer.agent_id, "--no-check", "--yes"])  # fmt: skip
    fix += " && raftsup reload" * running
    write = f"or write {told} for {account.id} in {file}, then `raftsup reload`"
    if account.agent_id is None:
        return bad(f"{who}: it has no agentId, its profile {profile} is of {answer.agent_id}",
                   "the Raft CLI refuses to start its bridge without", fix,
                   advice=write)  # fmt: skip
    if account.agent_id != answer.agent_id:
        return bad(f"{who}: its agentId is {account.agent_id}, and profile {profile} is signed in"
                   f" as {answer.agent_id}", "its bridge ends at once, so that no wake of another"
                   " agent is taken", fix, advice=f"{write}; or sign the right agent in as"
                   " another profile, and name that")  # fmt: skip
    if answer.refused:
        return bad(
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
    return good(f"{who}: profile {profile} is signed in as {answer.agent_id} on {answer.server}")


def shared(agents: Mapping[str, str]) -> Iterator[Finding]:
    """``agents``: of each account the agent behind its profile."""
    for agent in sorted(set(agents.values())):
        ids = [account for account, its in agents.items() if its == agent]
        if len(ids) > 1:
            yield bad(f"accounts {', '.join(ids)} are one Raft agent, {agent}, by several profiles",
                      "their bridges take each other's wakes",
                      f"raftsup account disable {ids[-1]}")  # fmt: skip
