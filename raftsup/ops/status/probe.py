"""``raftsup status --probe``: each part of a wake's way tried now, account by account.

All accounts are tried side by side, each step with a deadline of its own. The CLI is the one that
this shell's PATH finds: a service may have another. No check owes a turn or calls a model.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from raftsup.config.errors import ConfigError
from raftsup.config.model import Account, Config
from raftsup.config.placeholders import load_with_placeholders, placeholders_in
from raftsup.ops import live, raft_cli
from raftsup.ops.status import selfwake
from raftsup.ops.status.document import AccountStatus, ProbeStep, Status
from raftsup.paths import StateDir
from raftsup.proc.liveness import lives
from raftsup.terminal import plain

#: Seconds that one step may take.
PATIENCE = 10.0
#: Steps at once: a Raft CLI is a Node process each.
_AT_ONCE = 8
_ASIDE = ("disabled", "misconfigured")


class Check(NamedTuple):
    """One step: ``good`` is None where there was nothing to try."""

    check: str
    good: bool | None
    text: str
    #: The one thing that is worth a word where all is well.
    brief: str = ""


def probe(
    status: Status,
    load: Callable[[Mapping[str, str]], Config],
    state: StateDir,
    environ: Mapping[str, str],
    patience: float = PATIENCE,
) -> Status:
    """``status`` with a ``probe`` beside every account that is to run. ``load`` reads the config
    within an environment. Raises ``StateDirError``.
    """
    try:
        config, why = load_with_placeholders(load, environ)[0], ""
    except ConfigError as error:
        config, why = None, f"not tried: {str(error).splitlines()[0]}"
    with ThreadPoolExecutor(_AT_ONCE, "probe") as pool:
        agents = pool.submit(_agents, config, state, environ, patience)
        versions: dict[tuple[str, ...], Future[Check]] = {}

        def begin(facts: AccountStatus) -> list[Future[Check] | Check]:
            account = config.account(facts["account"]) if config is not None else None
            if account is None:
                missing = why or "not tried: the config file has no such account"
                of_cli: list[Future[Check] | Check] = [
                    Check("cli", None, missing),
                    Check("profile", None, missing),
                ]
            else:
                if account.command not in versions:
                    versions[account.command] = pool.submit(
                        _cli, account.command, environ, patience
                    )
                of_profile = pool.submit(_profile, account, environ, patience)
                of_cli = [versions[account.command], of_profile]
            of_wake = pool.submit(_wake, facts, status, state, patience)
            return [*of_cli, _bridge(facts, status), of_wake, _dispatcher(status)]

        begun = {a["account"]: begin(a) for a in status["accounts"] if a["state"] not in _ASIDE}
        runners = agents.result()
    none = Check("runner", None, why or "not tried: the config file does not run the account")

    def checks(name: str) -> list[ProbeStep]:
        if name not in begun:
            return []
        found = [c.result() if isinstance(c, Future) else c for c in begun[name]]
        return [
            {"check": c.check, "good": c.good, "text": c.text, "brief": c.brief}
            for c in [*found, runners.get(name, none)]
        ]

    accounts: list[AccountStatus] = [
        {**a, "probe": checks(a["account"])} for a in status["accounts"]
    ]
    return {**status, "accounts": accounts}


def _cli(command: Sequence[str], environ: Mapping[str, str], patience: float) -> Check:
    say = partial(Check, "cli")
    place = raft_cli.located(command, environ)
    if place is None:
        return say(False, raft_cli.missing(command))
    shown = shlex.join([place, *command[1:]])
    try:
        done = raft_cli.ask([*command, "--version"], environ, patience)
    except subprocess.TimeoutExpired:
        return say(False, f"`{shown} --version` gave no answer in {patience:g} s; try it by hand")
    except (OSError, ValueError) as error:
        return say(False, f"{shown} cannot be run: {error}")
    words = done.stdout.decode("utf-8", "replace").split()
    if done.returncode != 0 or not words:
        return say(False, f"`{shown} --version` ended with {done.returncode}; try it by hand")
    version = plain(" ".join(words), 80)
    return say(True, f"{shown}, version {version}", version)


def _profile(account: Account, environ: Mapping[str, str], patience: float) -> Check:
    say, profile = partial(Check, "profile"), account.profile or ""
    if raft_cli.located(account.command, environ) is None:
        return say(None, "not tried: there is no Raft CLI")
    try:
        found = raft_cli.whoami(account.command, profile, environ, patience)
    except raft_cli.CliTrouble as trouble:
        return say(False, str(trouble))
    if account.agent_id not in (None, found.agent_id):
        return say(
            False,
            f"{profile} is signed in as agent {found.agent_id}, the config says agentId"
            f" {account.agent_id}: sign in the right one, or fix agentId",
        )
    text = f"{profile} is signed in as agent {found.agent_id} at {found.server}"
    return say(True, text, found.agent_id)


def _bridge(facts: AccountStatus, status: Status) -> Check:
    say, bridge = partial(Check, "bridge"), facts["bridge"]
    if status["source"] == "config":
        return say(None, "not tried: no host runs here")
    if bridge["state"] == "listening" and lives(bridge["pid"]):
        heard = f"heard {bridge['heardAgo']:.0f} s ago"
        return say(True, f"it listens, pid {bridge['pid']}, {heard}", heard)
    return say(False, facts["reason"] or f"it is {bridge['state']}")


def _wake(facts: AccountStatus, status: Status, state: StateDir, patience: float) -> Check:
    say, url = partial(Check, "wake"), facts["endpoint"]["url"]
    if status["source"] == "config":
        return say(None, "not tried: no host runs here")
    if url is None:
        return say(False, f"there is no endpoint: {facts['reason']}")
    try:
        selfwake.send(url, state.probe_key(facts["account"]), patience)
    except selfwake.ProbeFailed as error:
        return say(False, str(error))
    return say(True, "one would be taken (tried with a wake that owes no turn)")


def _dispatcher(status: Status) -> Check:
    say, told = partial(Check, "dispatcher"), status["dispatcher"]
    if status["source"] == "config":
        return say(None, "not tried: no host runs here")
    if told["state"] == "running":
        return say(True, f"it answers, pid {told['pid']}")
    return say(False, f"{told['state']}: {told['reason'] or 'it does not answer'}")


def _agents(
    config: Config | None, state: StateDir, environ: Mapping[str, str], patience: float
) -> dict[str, Check]:
    """By account, whether its agent would take a turn."""
    if config is None:
        return {}
    found: dict[str, Check] = {}
    for account in config.accounts:
        if names := placeholders_in(account.agent):
            why = f"not tried: {' and '.join(names)} is not set in this shell; the host may have it"
            found[account.id] = Check("runner", None, why)
    rest = tuple(account for account in config.accounts if account.id not in found)
    for tried in live.try_all(replace(config, accounts=rest), state, environ, patience):
        texts = [f.text for f in tried.findings if f.good == tried.good]
        check = Check("runner", tried.good, f"{tried.kind}: {'; '.join(texts)}", tried.kind)
        found |= dict.fromkeys(tried.accounts, check)
    return found
