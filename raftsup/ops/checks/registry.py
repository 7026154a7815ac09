"""The checks, in the order in which their findings are told; carrying them out."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from raftsup.ops.checks import (
    agents,
    bridges,
    config,
    host,
    ledger,
    machine,
    profiles,
    raft,
    state_dir,
    way,
)
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, NotFixed, fail, warning


class Use(StrEnum):
    """The commands that choose from the checks."""

    DOCTOR = "doctor"
    PROBE = "status --probe"
    DEEP = "status --deep"
    LIVE = "config check --live"


_DOCTOR, _PROBE, _DEEP = (frozenset({use}) for use in (Use.DOCTOR, Use.PROBE, Use.DEEP))
_EVERY = frozenset({Use.DOCTOR, Use.PROBE, Use.LIVE})


@dataclass(frozen=True)
class Check:
    name: str
    #: What it looks at, in a few words.
    about: str
    look: Callable[[Scene], Iterable[Finding]]
    used_by: frozenset[Use] = _DOCTOR
    #: Seconds that it may take.
    timeout_s: float = 10.0
    #: What ``status --probe`` calls it.
    step: str = ""


CHECKS = (
    Check("config", "can the file be used", config.config),
    Check("secrets", "who may read the keys in it", config.secrecy),
    Check("credentials", "who may read the Raft CLI's", config.credentials),
    Check("state folder", "whose it is, who may enter", state_dir.folder),
    Check("leftovers", "what dead hosts left there", state_dir.leftovers),
    Check("disk", "its room", state_dir.disk),
    Check("ledger", "is it sound, has it room", ledger.ledger, timeout_s=30.0),
    Check("clock", "does it run forward", ledger.clock, timeout_s=30.0),
    Check("raft", "the Raft CLI and its version", raft.cli, _EVERY, 20.0, "cli"),
    Check("raft home", "where its profiles lie", raft.home),
    Check("node", "the node that scripts run on", raft.node, timeout_s=20.0),
    Check("profiles", "whose each is, is it still good", profiles.profiles, _EVERY, 45.0,
          "profile"),
    Check("bridge locks", "who holds them", bridges.locks),
    Check("bridge hints", "wakes that wait for a bridge", bridges.hints),
    Check("other bridges", "of the same profiles", bridges.others),
    Check("strays", "processes of turns whose host is gone", bridges.strays),
    Check("bridge", "does it listen to Raft", way.bridge, _PROBE, step="bridge"),
    Check("wake", "does one get in", way.wake, _PROBE, 30.0, "wake"),
    Check("dispatcher", "does it answer", way.dispatcher, _PROBE, step="dispatcher"),
    Check("service", "is its unit as the config wants it", host.service),
    Check("agents", "can each be reached", agents.agents, _EVERY, 45.0, "runner"),
    Check("agents' reach", "can they call the Raft CLI", agents.reach),
    Check("turns", "which failed, which wait", ledger.turns, timeout_s=30.0),
    Check("host", "its programs and accounts", host.host),
    Check("this machine", "other hosts, services, orphans", machine.others, _DEEP, 30.0),
)  # fmt: skip


@dataclass(frozen=True)
class Examined:
    check: Check
    findings: tuple[Finding, ...]


def due(scene: Scene, use: Use) -> Sequence[Check]:
    """The checks that can tell the truth here: of another user's host just whose it is."""
    wanted = [check for check in CHECKS if use in check.used_by]
    return [check for check in wanted if check.look is state_dir.folder or not scene.closed]


def examine(scene: Scene, checks: Sequence[Check]) -> list[Examined]:
    """Carry out the checks side by side, each within its deadline."""
    begun, found = time.monotonic(), [Slot() for _ in checks]
    for check, slot in zip(checks, found, strict=True):
        # A daemon: one that never comes back must not keep the command from ending.
        threading.Thread(target=slot.fill, args=(check, scene), daemon=True).start()
    examined = []
    for check, slot in zip(checks, found, strict=True):
        left = begun + check.timeout_s - time.monotonic()
        if slot.done.wait(max(0.0, left)):
            examined.append(Examined(check, tuple(slot.findings)))
        else:
            examined.append(Examined(check, (_late(check),)))
    return examined


class Slot:
    """What one check finds."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.done = threading.Event()

    def fill(self, check: Check, scene: Scene) -> None:
        try:
            for finding in check.look(scene):
                self.findings.append(finding)
        except Exception as error:
            # One check's fault is not the others'.
            self.findings.append(_broken(check, error))
        finally:
            self.done.set()


def _late(check: Check) -> Finding:
    return warning(f"the check was not through after {check.timeout_s:g} s",
                   "what it looks at hangs, or the machine is very busy",
                   "raftsup doctor, once more")  # fmt: skip


def _broken(check: Check, error: Exception) -> Finding:
    if isinstance(error, OSError):
        return fail(f"the check cannot look: {error}", "what it looks at is not known",
                   "fix that, then `raftsup doctor`")  # fmt: skip
    last = traceback.extract_tb(error.__traceback__)[-1]
    # Without its text: that may hold whatever was looked at.
    place = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
    return fail(f"the check itself is broken: {place}", "what it looks at is not known",
               "report this line to raftsup's authors")  # fmt: skip


def repair(examined: Sequence[Examined]) -> tuple[list[str], list[Check]]:
    """Do what is safe; what was done or not, in words, and the checks to carry out again."""
    said, again = [], []
    for one in examined:
        for finding in one.findings:
            if finding.repair is None:
                continue
            try:
                said.append(finding.repair())
            except (NotFixed, OSError) as error:
                said.append(f"not fixed: {finding.what}: {error}")
            if one.check not in again:
                again.append(one.check)
    return said, again
