"""``raftsup health``: is every account ready, in one line for a monitor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from raftsup.config.errors import ConfigError
from raftsup.config.model import Config
from raftsup.ops import status
from raftsup.ops.status.account_state import AccountState
from raftsup.ops.status.document import AccountStatus, Status
from raftsup.paths import StateDir, StateDirError
from raftsup.proc import lockfile
from raftsup.supervisor import active_accounts
from raftsup.terminal import plain, share

#: Worst first.
_WORST = (
    AccountState.DOWN,
    AccountState.MISCONFIGURED,
    AccountState.DEGRADED,
    AccountState.STARTING,
    AccountState.CONNECTING,
    AccountState.READY,
)


class Word(StrEnum):
    OK = "ok"
    NOT_READY = "not_ready"
    NOT_RUNNING = "not_running"
    #: The state folder is not to be looked into.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Health:
    word: Word
    #: Of the enabled accounts.
    ready: int = 0
    accounts: int = 0
    #: Those that were restarted a moment ago: Raft has yet to answer their bridges. They do not
    #: make it unwell.
    connecting: tuple[str, ...] = ()
    #: The account that is worst off, with its state and the reason; None: none is unwell.
    worst: Mapping[str, str] | None = None
    #: Why it is unknown; or what ails the host itself.
    trouble: str = ""
    #: Its config file cannot be used: it goes on with what it read before.
    refused: bool = False

    @property
    def line(self) -> str:
        ready = share(self.ready, self.accounts, "account")
        if self.word is Word.UNKNOWN:
            return f"unknown: {self.trouble}"
        if self.word is Word.NOT_RUNNING:
            return "not running: no host; `raftsup up` starts one"
        if self.trouble:
            return f"not ready: {self.trouble}; {ready} ready"
        if self.worst is None:
            if not self.accounts:
                return "not ready: no account is enabled"
            again = "".join(f"; {name} connects after a restart" for name in self.connecting)
            if self.refused:
                again += "; the config file cannot be used (`raftsup status` says why)"
            return f"ok: {ready} ready{again}"
        worst = self.worst
        return (
            f"not ready: {ready} ready; {worst['account']} is"
            f" {worst['state']}: {plain(worst['reason'])}"
        )


def look(state: StateDir, load: Callable[[], Config]) -> Health:
    """How the host is now. Changes nothing, and reads the config file only where no host that
    wrote its roster runs.
    """
    running = active_accounts.read(state) if lockfile.holder(state.lock) is not None else None
    try:
        accounts = running if running is not None else load().accounts
    except ConfigError:
        return Health(Word.NOT_RUNNING)  # nothing could have been started from it
    except OSError as error:
        return Health(Word.UNKNOWN, trouble=str(error))
    try:
        return judge(status.collect(accounts, state))
    except (StateDirError, OSError) as error:
        return Health(Word.UNKNOWN, trouble=str(error))


def judge(whole: Status) -> Health:
    pids = [whole["supervisor"]["pid"], *(a["endpoint"]["pid"] for a in whole["accounts"])]
    if not any(pids):
        return Health(Word.NOT_RUNNING)
    wanted, ready = status.readiness(whole)
    connecting = [a for a in wanted
                  if a["state"] == AccountState.CONNECTING and _is_expected(a, whole)]  # fmt: skip
    again = tuple(a["account"] for a in connecting)
    well = [*ready, *connecting]
    config = whole["config"]
    refused = config is not None and config["state"] == "refused"
    if trouble := status.host_trouble(whole):
        return Health(
            Word.NOT_READY, len(ready), len(wanted), again, trouble=trouble, refused=refused
        )
    if wanted and len(well) == len(wanted):
        return Health(Word.OK, len(ready), len(wanted), again, refused=refused)
    order = [str(state) for state in _WORST]
    worst = min(
        (a for a in wanted if a not in well), key=lambda a: order.index(a["state"]), default=None
    )
    named = worst and {"account": worst["account"], "state": worst["state"],
                       "reason": worst["reason"]}  # fmt: skip
    return Health(Word.NOT_READY, len(ready), len(wanted), again, named, refused=refused)


def _is_expected(account: AccountStatus, whole: Status) -> bool:
    until = account["bridge"]["graceUntil"]
    return until is not None and whole["at"] < until
