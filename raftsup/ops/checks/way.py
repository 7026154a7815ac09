"""A wake's way through a running host, account by account: each part tried now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, fail, good, untried
from raftsup.ops.status import selfwake
from raftsup.ops.status.document import AccountStatus, Status
from raftsup.proc.liveness import lives

#: Endpoints that are tried at once: those of hung workers take the whole of their time.
_AT_ONCE = 8
_TIMEOUT_S = 10.0
_NO_WAKE = "no wake of this account is answered"


def bridge(scene: Scene) -> Iterator[Finding]:
    """Does it listen to Raft, and when was it heard."""

    def look(account: AccountStatus, _: Status) -> Finding:
        found = account["bridge"]
        if found["state"] == "listening" and lives(found["pid"]):
            heard = f"heard {found['heardAgo'] or 0.0:.0f} s ago"
            return good(f"it listens, pid {found['pid']}, {heard}", brief=heard)
        return fail(account["reason"] or f"it is {found['state']}", _NO_WAKE)

    return _each(scene, look)


def wake(scene: Scene) -> Iterator[Finding]:
    """Does a wake get in: tried with one that owes no turn."""

    def look(account: AccountStatus, _: Status) -> Finding:
        url = account["endpoint"]["url"]
        if url is None:
            return fail(f"there is no endpoint: {account['reason']}", _NO_WAKE)
        try:
            key = scene.state.probe_key(account["account"])
            selfwake.send(url, key, scene.limit or _TIMEOUT_S)
        except selfwake.ProbeFailed as error:
            return fail(str(error), _NO_WAKE)
        return good("one would be taken (tried with a wake that owes no turn)")

    return _each(scene, look)


def dispatcher(scene: Scene) -> Iterator[Finding]:
    """Does it answer."""

    def look(_: AccountStatus, status: Status) -> Finding:
        told = status["dispatcher"]
        if told["state"] == "running":
            return good(f"it answers, pid {told['pid']}")
        return fail(f"{told['state']}: {told['reason'] or 'it does not answer'}", _NO_WAKE)

    return _each(scene, look)


def _each(scene: Scene, look: Callable[[AccountStatus, Status], Finding]) -> Iterator[Finding]:
    status = scene.status
    if status is None:
        return
    accounts = [a for a in status["accounts"] if a["state"] not in ("disabled", "misconfigured")]

    def tried(account: AccountStatus) -> Finding:
        if status["source"] == "config":
            return untried("not tried: no host runs here")
        return look(account, status)

    with ThreadPoolExecutor(_AT_ONCE, "way") as pool:
        for account, finding in zip(accounts, pool.map(tried, accounts), strict=True):
            yield finding.of(account["account"])
