"""The config: can it be used, as it is written and where it lies?"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from raftsup.config.load import Problem
from raftsup.config.source import unset_variable
from raftsup.ops.doctor.finding import Finding, Severity, bad, good, warning
from raftsup.ops.doctor.scene import Scene, service_variables

_CHECK = "`raftsup config check` tells when it is good"


def config(scene: Scene) -> Iterator[Finding]:
    has = service_variables(scene.service, scene.environ) if scene.service else {}
    told = [f for p in scene.problems if (f := judge(p, bool(scene.pid), frozenset(has)))]
    yield from told
    if scene.config is None:
        return
    for account in scene.config.accounts:
        if account.enabled and account.problem is not None:
            told.append(bad(f"account {account.id}: {account.problem}", "it does not run",
                            f"mend it in {scene.file}, then `raftsup reload`"))  # fmt: skip
            yield told[-1]
    if not scene.accounts:
        yield warning(f"{scene.file}: no account runs", "no wake of any Raft agent is taken",
                      "raftsup account list")  # fmt: skip
    elif not any(finding.severity is Severity.BAD for finding in told):
        yield good(f"{scene.config.path or 'RAFT_PROFILE'}: {len(scene.accounts)} accounts run")


def judge(problem: Problem, running: bool, service_has: frozenset[str]) -> Finding | None:
    """``running``: a host runs, which read its file when it could."""
    name = unset_variable(problem)
    if name is None:
        why = (
            "the running host goes on with what it read before; it cannot be restarted"
            if running
            else "no host can start"
        )
        return bad(f"{problem.where}: {problem.what}", why, f"{problem.hint}; {_CHECK}")
    if name in service_has:
        return None
    what = f"{problem.where}: {problem.what} in this shell"
    if running:
        return warning(what, "the running host may have it; one that is started here would not",
                       f"export {name}=… before `raftsup up`")  # fmt: skip
    return bad(what, "a host that is started here refuses its config", f"export {name}=…")


def secrecy(scene: Scene) -> Iterator[Finding]:
    """The files beside the state folder that may hold keys."""
    file = Path(scene.file)
    places = [file, file.with_name("raftsup.env")]
    for path in places:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & 0o002:
            yield bad(f"{path} can be changed by anybody (mode {mode:04o})",
                      "who changes it runs commands as this user", f"chmod 600 {path}",
                      partial(_close, path))  # fmt: skip
        elif mode & 0o077 and path != file:
            yield bad(f"{path} is open to others (mode {mode:04o})", "it holds keys",
                      f"chmod 600 {path}", partial(_close, path))  # fmt: skip


def _close(path: Path) -> str:
    path.chmod(0o600)
    return f"{path}: closed to others (mode 0600)"
