"""The config: can it be used, as it is written and where it lies?"""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

from raftsup import raft_home
from raftsup.config import variables
from raftsup.config.errors import ExternalText, Problem
from raftsup.config.model import Account
from raftsup.config.reader import unset_variable
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, Severity, fail, good, warning

_ASKS = "type its value then, it is not shown; a service: `raftsup install --force` says where"
_CHECK = "`raftsup config check` tells when it is good"


def config(scene: Scene) -> Iterator[Finding]:
    there = Path(scene.file).exists()
    told = [judge(problem, bool(scene.pid), there) for problem in scene.problems]
    yield from told
    for sentence in variables.mistyped(scene.environ):
        yield warning(sentence, "what it was to set has its default",
                      advice="correct it where it is set, then restart the host")  # fmt: skip
    if scene.config is None:
        return
    for account in scene.config.accounts:
        if account.enabled and account.problem is not None:
            told.append(fail(f"account {account.id}: {account.problem}", "it does not run",
                            advice=f"fix it in {scene.file}, then `raftsup reload`"))  # fmt: skip
            yield told[-1]
    if not scene.accounts:
        idle = next((a.id for a in scene.config.accounts if not a.enabled), None)
        yield warning(f"{scene.file}: no account runs", "no wake of any Raft agent is taken",
                      f"raftsup account enable {idle}" if idle else "raftsup setup")  # fmt: skip
    elif not any(finding.severity is Severity.FAIL for finding in told):
        count = f"{len(scene.accounts)} account{'s' * (len(scene.accounts) > 1)}"
        yield good(f"{scene.config.path or 'RAFT_PROFILE'} is good, for {count}")


def judge(problem: Problem, running: bool, there: bool = True) -> Finding:
    """``running``: a host runs, which read its file when it could. ``there``: the file is."""
    name = unset_variable(problem)
    if name is None:
        why = (
            "the running host goes on with what it read before; it cannot be restarted"
            if running
            else "no host can start"
        )
        fix = "" if there else "raftsup setup"
        return fail(f"{problem.where}: {problem.what}", why, fix,
                   advice=f"{problem.hint}; {_CHECK}")  # fmt: skip
    what = f"{problem.where}: {problem.what} in this shell"
    if running:
        return warning(what, "the running host may have it; one that is started here would not",
                       asked_for(name), advice=_ASKS)  # fmt: skip
    return fail(what, "a host that is started here refuses its config", asked_for(name),
               advice=_ASKS)  # fmt: skip


def asked_for(name: str) -> str:
    """A command that asks for a variable's value: a secret stays out of the shell's history."""
    return f"printf '{name}: ' && read -rs {name} && export {name}"


def secrecy(scene: Scene) -> Iterator[Finding]:
    """The files outside of the state folder that may hold keys."""
    file = Path(scene.file)
    keys = scene.config is not None and any(map(holds_key, scene.config.accounts))
    for path in (file, file.with_name("raftsup.env")):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        quoted = shlex.quote(str(path))
        if mode & 0o002:
            yield fail(f"{path} can be changed by anybody (mode {mode:04o})",
                      "who changes it runs commands as this user", f"chmod go-w {quoted}",
                      partial(_restrict, path, mode & ~0o022))  # fmt: skip
        elif mode & 0o077 and path != file:
            yield fail(f"{path} is open to others (mode {mode:04o})", "it holds keys",
                      f"chmod 600 {quoted}", partial(_restrict, path, 0o600))  # fmt: skip
        elif mode & 0o044 and keys:
            yield warning(f"{path} is open to others (mode {mode:04o}) and a key is written in it",
                          "who reads it can use the agent", f"chmod 600 {quoted}",
                          advice="or write ${NAME} in its place: not by --fix, a service of"
                          " another user may read the file that way")  # fmt: skip


def credentials(scene: Scene) -> Iterator[Finding]:
    """The CLI writes them with mode 0600 (RAFT_PROTOCOL, "Profiles and identity")."""
    found = False
    for account in scene.accounts:
        path = raft_home.credential(account.profile or "", scene.env)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # not signed in: told by whom the CLI answers
        if mode & 0o077:
            found = True
            yield fail(f"account {account.id}: {path} is open to others (mode {mode:04o})",
                      "who reads it is this agent in Raft", f"chmod 600 {shlex.quote(str(path))}",
                      partial(_restrict, path, 0o600))  # fmt: skip
    if not found:
        yield good("no other user may read these profiles' credentials")


def holds_key(account: Account) -> bool:
    """Whether a key of its agent stands in the file itself. Mappings (env, headers) may hold
    anything: they are not judged.
    """
    if account.agent is None:
        return False
    secrets = [getattr(account.agent, f.name) for f in fields(account.agent) if f.metadata]
    return any(isinstance(s, str) and not isinstance(s, ExternalText) for s in secrets)


def _restrict(path: Path, mode: int) -> str:
    path.chmod(mode)
    return f"{path}: closed to others (mode {mode:04o})"
