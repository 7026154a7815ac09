"""The host itself: is it up, how are its accounts, is its service what the config wants."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from raftsup import raft_errors
from raftsup.config.errors import ConfigError
from raftsup.ops import bridge_log, raft_cli
from raftsup.ops.checks.context import Scene, service_variables
from raftsup.ops.checks.finding import Finding, Severity, fail, good, warning
from raftsup.ops.service import detect, install
from raftsup.ops.service.detect import Installed
from raftsup.ops.service.spec import (
    Described,
    Scope,
    describe,
    instance_of,
    instance_words,
)
from raftsup.ops.status.account_state import AccountState
from raftsup.ops.status.document import AccountStatus
from raftsup.raft_errors import Who

#: How an account that is not ready is told of; what is not named is good.
_STATES = {
    AccountState.DOWN: fail,
    AccountState.DEGRADED: fail,
    AccountState.MISCONFIGURED: fail,
    AccountState.STARTING: warning,
    AccountState.CONNECTING: warning,
}
#: What fixes an account, and words about it, by what its bridge said; for the other codes what
#: ``raft_errors`` has.
_SETUP = ("raftsup setup --account {account} --profile {profile} --no-check --yes"
             " && raftsup reload", "that writes the agentId of its profile's agent")  # fmt: skip
_CODES = {
    "BRIDGE_IDENTITY_MISMATCH": _SETUP,
    "BRIDGE_EXPECTED_AGENT_REQUIRED": _SETUP,
}
_LOGIN = ("{login}", "the token is on the agent's External Agent page in Raft")
#: The same by the state of a bridge.
_FIXES = {
    "missing": ("raftsup restart", "type it in a shell in which `raft --help` works; a service:"
                " `raftsup install --force` first"),
    "revoked": _LOGIN,
    "silent": ("raftsup ctl restart accounts:{account}", "it is also restarted by itself"),
    "blocked": ("raftsup ctl restart accounts:{account}", "once the other bridge has ended, see"
                " `other bridges` above; it is also tried again by itself"),
}  # fmt: skip


def host(scene: Scene) -> Iterator[Finding]:
    if not scene.running:
        start = "raftsup start" if scene.service else "raftsup up -d"
        yield warning(f"no host runs on {scene.state.root}", "no wake is taken", start)
        return
    if scene.pid:
        yield good(f"the host runs, pid {scene.pid}")
    if scene.status is None:
        return
    stake = {"supervisor": (scene.status["supervisor"]["reason"],
                            "what dies now is not started again, and no change is applied"),
             "dispatcher": (scene.status["dispatcher"]["reason"],
                            "no turn starts while that is so")}  # fmt: skip
    for program, (reason, why) in stake.items():
        if reason:
            yield fail(f"{program}: {reason}", why,
                      _let_go(reason) or "raftsup restart")  # fmt: skip
    clis = {account.id: account.command for account in scene.accounts}
    for account in scene.status["accounts"]:
        command = clis.get(account["account"], ("raft",))
        who = raft_cli.who_of(command, account["profile"] or "", scene.env)
        finding = judge_account(account, who)
        # Without a worker it says what was, perhaps long ago; of one that listens, nothing.
        bridge = account["bridge"]
        trouble = finding.severity is Severity.FAIL and bridge["state"] != "listening"
        log = bridge["log"] if account["endpoint"]["pid"] else None
        yield _with_last_words(finding, log) if trouble and log else finding


def _with_last_words(finding: Finding, path: str) -> Finding:
    """The same, with the end of what the CLI's own log has."""
    log = bridge_log.tail(Path(path), 3)
    told = " | ".join(log.lines) or log.problem
    return replace(finding, why=f"{finding.why}; the CLI's own log, {path}, ends: {told}")


def judge_account(account: AccountStatus, cli: Who | None = None) -> Finding:
    """``cli``: its profile of the Raft CLI."""
    cli = cli or Who(account["profile"] or "")
    who, state = f"account {account['account']}", AccountState(account["state"])
    say = _STATES.get(state)
    if say is None:
        return good(f"{who} is {state}")
    if state is AccountState.CONNECTING:
        return say(f"{who} is {state}: {account['reason']}",
                   "whether it reaches Raft is not known yet",
                   advice="type `raftsup doctor` again: if it stays, Raft is slow")  # fmt: skip
    # A reason that names what to type needs no more words.
    more = "" if "`raftsup " in account["reason"] else "`raftsup logs {account} --since 10m` tells"
    usual = ("", more)
    if state is AccountState.MISCONFIGURED:
        usual = ("", "correct it in the config, then `raftsup reload`")
    fix, advice = _by_code(account["reason"]) or _FIXES.get(account["bridge"]["state"], usual)
    if stopped := _let_go(account["reason"]):
        fix, advice = stopped, ""
    words = {**account, "raft": cli.raft, "login": cli.login}
    # The host does not know in which shell its commands are read.
    reason = account["reason"].replace(f"`{shlex.join(cli.command)} ", f"`{cli.raft} ")
    return say(f"{who} is {state}: {reason}", "its wakes are not answered now",
               fix.format_map(words), advice=advice.format_map(words))  # fmt: skip


def _by_code(reason: str) -> tuple[str, str] | None:
    """What fixes an account whose reason names a code of the Raft CLI's."""
    code = next((code for code in raft_errors.CODES if f"({code})" in reason), "")
    if code in _CODES:
        return _CODES[code]
    known = raft_errors.known(code, reason)
    if known is None or not known.lasting:
        return None
    typed = re.search(r"`([^`]+)`", known.fix)
    _, login, rest = known.fix.partition("`{login}`")
    if login:
        return _LOGIN[0], _LOGIN[1] + rest
    return (typed[1], "") if typed and "then" not in known.fix else ("", known.fix)


def _let_go(reason: str) -> str:
    """The command for a process that is stopped by a signal, which its reason names; "" if none."""
    found = re.search(r"`(kill -CONT \d+)`", reason)
    return found[1] if found else ""


def service(scene: Scene) -> Iterator[Finding]:
    unit = scene.service
    if unit is None:
        yield good("no service is installed for this state folder")
        return
    several = [s for s in detect.everything(_home(scene)) if s.state == scene.state.root]
    if len(several) > 1:
        yield fail(f"{' and '.join(str(s.path) for s in several)} run one state folder",
                  "the second to start refuses, again and again",
                  f"{_raftsup(several[1])} uninstall --{several[1].scope}")  # fmt: skip
    file = service_variables(unit, scene.environ).get("RAFTSUP_CONFIG_PATH")
    if file is not None and file != scene.file:
        yield warning(f"the service reads {file}, this shell's raftsup {scene.file}",
                      "what is found here of the config is not of the service's",
                      f"export RAFTSUP_CONFIG_PATH={shlex.quote(file)}")  # fmt: skip
    program = program_of(unit)
    if program is not None and shutil.which(program) is None:
        yield fail(f"{unit.path} starts {program}, which is not there", "the service cannot start",
                  _again(unit))  # fmt: skip
    try:
        wanted, notes = _described(scene, unit)
        text = install.generated(wanted, unit.manager)
    except (ConfigError, ValueError) as error:
        yield warning(f"{unit.path} cannot be compared: {error}", "it may not start",
                      "raftsup config check")  # fmt: skip
        return
    for note in notes:
        what, _, fix = note.partition(": ")
        yield warning(f"{unit.path}: {what}", "the service has another environment than this shell",
                      "" if fix else _again(unit), advice=fix)  # fmt: skip
    yield compare(unit, text)
    if install.ends_with_login(wanted):
        yield warning(f"{unit.path} ends when {wanted.user} logs out",
                      "no wake is taken after that",
                      f"loginctl enable-linger {shlex.quote(wanted.user)}")  # fmt: skip


def compare(unit: Installed, text: str) -> Finding:
    """``text``: what would be written today."""
    if not unit.ours:
        return good(f"{unit.path} is not of `raftsup install`: not compared")
    if unit.text == text:
        return good(f"{unit.path} is as the config wants it")
    return warning(f"{unit.path} differs from what the config wants now",
                   "budgets, paths or variables of the service are old ones",
                   _again(unit))  # fmt: skip


def _again(unit: Installed) -> str:
    raftsup, scope = _raftsup(unit), " --system" if unit.scope is Scope.SYSTEM else ""
    return f"{raftsup} install{scope} --force && {raftsup} restart"


def _raftsup(unit: Installed) -> str:
    """The command that is about a service, with what it has to begin with."""
    sudo = ["sudo"] if unit.scope is Scope.SYSTEM else []
    return shlex.join([*sudo, "raftsup", *instance_words(unit.unit)])


def program_of(unit: Installed) -> str | None:
    """The program that a unit of systemd starts."""
    for line in unit.text.splitlines():
        if line.startswith("ExecStart="):
            words = shlex.split(line.removeprefix("ExecStart="))
            return words[0].replace("%%", "%") if words else None
    return None


def _described(scene: Scene, unit: Installed) -> tuple[Described, list[str]]:
    told = service_variables(unit, scene.environ)
    environ: Mapping[str, str] = {**scene.environ, **told}
    user = scene.environ.get("USER") or _home(scene).name
    if unit.scope is Scope.SYSTEM:
        lines = unit.text.splitlines()
        user = next((x.removeprefix("User=") for x in lines if x.startswith("User=")), user)
    return describe(
        {**environ, "RAFTSUP_NAME": instance_of(unit.unit)},
        lambda _, env: scene.load(env),
        unit.scope,
        user,
        config=Path(told["RAFTSUP_CONFIG_PATH"]) if "RAFTSUP_CONFIG_PATH" in told else None,
        state=unit.state,
    )


def _home(scene: Scene) -> Path:
    return Path(scene.environ.get("HOME", "/"))
