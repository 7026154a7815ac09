"""``raftsup status --probe``: each part of a wake's way tried now, account by account.

All accounts are tried side by side, each step with a deadline of its own. The CLI is the one that
this shell's PATH finds: a service may have another. No check owes a turn or calls a model.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from raftsup.childenv import clean_env
from raftsup.config.load import ConfigError
from raftsup.config.model import Account, Config
from raftsup.ops import live, raft_cli, selfwake
from raftsup.ops.status import lives
from raftsup.paths import StateDir

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


def probe(
    status: dict[str, Any],
    load: Callable[[], Config],
    state: StateDir,
    environ: Mapping[str, str],
    patience: float = PATIENCE,
) -> dict[str, Any]:
    """``status`` with a ``probe`` beside every account that is to run. Raises ``StateDirError``."""
    try:
        config, why = load(), ""
    except ConfigError as error:
        config, why = None, f"not tried: {str(error).splitlines()[0]}"
    running = [a for a in status["accounts"] if a["state"] not in _ASIDE]
    with ThreadPoolExecutor(_AT_ONCE, "probe") as pool:
        agents = pool.submit(_agents, config, state, environ, patience)
        versions: dict[tuple[str, ...], Future[Check]] = {}
        tries = []
        for facts in running:
            account = config.account(facts["account"]) if config is not None else None
            here: list[Future[Check]] = []
            if account is not None:
                command = account.command
                if command not in versions:
                    versions[command] = pool.submit(_cli, command, environ, patience)
                here = [versions[command], pool.submit(_profile, account, environ, patience)]
            here.append(pool.submit(_wake, facts, status, state, patience))
            tries.append((facts, here))
        checks = {}
        for facts, here in tries:
            *cli, wake = [future.result() for future in here]
            gone = why or "not tried: the config file has no such account"
            cli = cli or [Check("cli", None, gone), Check("profile", None, gone)]
            checks[facts["account"]] = [
                *cli,
                _bridge(facts, status),
                wake,
                _dispatcher(status),
                agents.result().get(facts["account"], Check("runner", None, gone)),
            ]
    told = [
        {**a, "probe": [c._asdict() for c in checks.get(a["account"], ())]}
        for a in status["accounts"]
    ]
    return {**status, "accounts": told}


def all_good(status: Mapping[str, Any]) -> bool:
    """Whether no step failed."""
    return all(c["good"] is not False for a in status["accounts"] for c in a.get("probe", ()))


def _cli(command: Sequence[str], environ: Mapping[str, str], patience: float) -> Check:
    say = partial(Check, "cli")
    place = raft_cli.located(command, environ)
    if place is None:
        return say(False, raft_cli.missing(command))
    try:
        done = subprocess.run(
            [*command, "--version"], env=clean_env(environ), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=patience, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return say(False, f"{place} --version gave no answer in {patience:g} s; try it by hand")
    except (OSError, ValueError) as error:
        return say(False, f"{place} cannot be run: {error}")
    words = done.stdout.decode("utf-8", "replace").split()
    if done.returncode != 0 or not words:
        return say(False, f"{place} --version ended with {done.returncode}; try it by hand")
    version = "".join(c for c in " ".join(words) if c.isprintable())[:80]
    return say(True, f"{place}, version {version}")


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
            f" {account.agent_id}: sign in the right one, or mend agentId",
        )
    return say(True, f"{profile} is signed in as agent {found.agent_id} at {found.server}")


def _bridge(facts: Mapping[str, Any], status: Mapping[str, Any]) -> Check:
    say, bridge = partial(Check, "bridge"), facts["bridge"]
    if status["source"] == "config":
        return say(None, "not tried: no host runs here")
    if bridge["state"] == "listening" and lives(bridge["pid"]):
        return say(True, f"it listens, pid {bridge['pid']}")
    return say(False, facts["reason"] or f"it is {bridge['state']}")


def _wake(
    facts: Mapping[str, Any], status: Mapping[str, Any], state: StateDir, patience: float
) -> Check:
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


def _dispatcher(status: Mapping[str, Any]) -> Check:
    say, state = partial(Check, "dispatcher"), status["dispatcher"]["state"]
    if status["source"] == "config":
        return say(None, "not tried: no host runs here")
    if state == "running":
        return say(True, f"it answers, pid {status['dispatcher']['pid']}")
    why = "it finishes what runs and starts no turn" if state == "draining" else "it does not answer"
    return say(False, f"{why} ({state}); `raftsup logs` may tell more")


def _agents(
    config: Config | None, state: StateDir, environ: Mapping[str, str], patience: float
) -> dict[str, Check]:
    """By account, whether its agent would take a turn."""
    if config is None:
        return {}
    found = {}
    for tried in live.try_all(config, state, environ, patience):
        texts = [f.text for f in tried.findings if f.good == tried.good]
        check = Check("runner", tried.good, f"{tried.kind}: {'; '.join(texts)}")
        found |= dict.fromkeys(tried.accounts, check)
    return found
