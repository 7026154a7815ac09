"""The host itself: is it up, how are its accounts, is its service what the config wants."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raftsup.config.load import ConfigError
from raftsup.ops.account_state import AccountState
from raftsup.ops.doctor.finding import Finding, bad, good, warning
from raftsup.ops.doctor.scene import Scene, service_variables
from raftsup.ops.service import found, install
from raftsup.ops.service.described import Described, Scope, describe
from raftsup.ops.service.found import Installed

#: How an account that is not ready is told of; what is not named is good.
_STATES = {
    AccountState.DOWN: bad,
    AccountState.DEGRADED: bad,
    AccountState.MISCONFIGURED: bad,
    AccountState.STARTING: warning,
}
#: By the state of its bridge, where that says more than the log does.
_MENDS = {
    "missing": "raftsup restart, from a shell in which `raft --help` works",
    "revoked": "raft --profile {profile} auth login",
    "blocked": "stop the other bridge: `ps -ef | grep 'agent bridge'`, see `other bridges` above",
}


def host(scene: Scene) -> Iterator[Finding]:
    if not scene.running:
        start = "raftsup start" if scene.service else "raftsup up -d"
        yield warning(f"no host runs on {scene.state.root}", "no wake is taken", start)
        return
    if scene.pid:
        yield good(f"the host runs, pid {scene.pid}")
    for account in (scene.status or {}).get("accounts", ()):
        yield judge_account(account)


def judge_account(account: dict[str, Any]) -> Finding:
    """``account``: as ``status --json`` has it."""
    who, state = f"account {account['account']}", AccountState(account["state"])
    say = _STATES.get(state)
    if say is None:
        return good(f"{who} is {state}")
    usual = "raftsup logs {account} --since 10m"
    if state is AccountState.MISCONFIGURED:
        usual = "raftsup reload, once it is mended in the config"
    mend = _MENDS.get(account["bridge"]["state"], usual).format_map(account)
    return say(f"{who} is {state}: {account['reason']}", "its wakes are not answered now", mend)


def service(scene: Scene) -> Iterator[Finding]:
    unit = scene.service
    if unit is None:
        yield good("no service is installed for this state folder")
        return
    several = [s for s in found.everything(_home(scene)) if s.state == scene.state.root]
    if len(several) > 1:
        yield bad(f"{' and '.join(str(s.path) for s in several)} run one state folder",
                  "the second to start refuses, again and again",
                  f"raftsup uninstall --{several[1].scope}")  # fmt: skip
    file = service_variables(unit, scene.environ).get("RAFTSUP_CONFIG_PATH")
    if file is not None and file != scene.file:
        yield warning(f"the service reads {file}, this shell's raftsup {scene.file}",
                      "what is found here of the config is not of the service's",
                      f"export RAFTSUP_CONFIG_PATH={shlex.quote(file)}")  # fmt: skip
    program = program_of(unit)
    if program is not None and shutil.which(program) is None:
        yield bad(f"{unit.path} starts {program}, which is not there", "the service cannot start",
                  _again(unit))  # fmt: skip
    try:
        wanted, notes = _described(scene, unit)
        text = install.generated(wanted, unit.manager)
    except (ConfigError, ValueError) as error:
        yield warning(f"{unit.path} cannot be compared: {error}", "it may not start",
                      "raftsup config check")  # fmt: skip
        return
    for note in notes:
        what, _, mend = note.partition(": ")
        yield warning(f"{unit.path}: {what}", "the service has another environment than this shell",
                      mend or _again(unit))  # fmt: skip
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
    name = unit.unit.removeprefix("raftsup").removeprefix("-")
    named = f" --name {name}" if name else ""
    sudo, scope = ("sudo ", " --system") if unit.scope is Scope.SYSTEM else ("", "")
    return f"{sudo}raftsup{named} install{scope} --force && raftsup{named} restart"


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
    name = unit.unit.removeprefix("raftsup").removeprefix("-")
    user = scene.environ.get("USER") or _home(scene).name
    if unit.scope is Scope.SYSTEM:
        lines = unit.text.splitlines()
        user = next((x.removeprefix("User=") for x in lines if x.startswith("User=")), user)
    return describe(
        {**environ, "RAFTSUP_NAME": name},
        lambda _, env: scene.load(env),
        unit.scope,
        user,
        config=Path(told["RAFTSUP_CONFIG_PATH"]) if "RAFTSUP_CONFIG_PATH" in told else None,
        state=unit.state,
    )


def _home(scene: Scene) -> Path:
    return Path(scene.environ.get("HOME", "/"))
