"""The checks, in the order in which their findings are told; carrying them out."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raftsup.ops.checks import agents, bridges, config, host, ledger, profiles, raft, state_dir
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, NotFixed, bad, warning


@dataclass(frozen=True)
class Check:
    name: str
    look: Callable[[Scene], Iterable[Finding]]
    #: Seconds that it may take.
    patience: float = 10.0


CHECKS = (
    Check("config", config.config),
    Check("secrets", config.secrecy),
    Check("credentials", config.credentials),
    Check("state folder", state_dir.folder),
    Check("leftovers", state_dir.leftovers),
    Check("disk", state_dir.disk),
    Check("ledger", ledger.ledger, 30.0),
    Check("clock", ledger.clock, 30.0),
    Check("raft", raft.cli, 20.0),
    Check("raft home", raft.home),
    Check("node", raft.node, 20.0),
    Check("profiles", profiles.profiles, 45.0),
    Check("bridge locks", bridges.locks),
    Check("bridge hints", bridges.hints),
    Check("other bridges", bridges.others),
    Check("strays", bridges.strays),
    Check("service", host.service),
    Check("agents", agents.agents, 45.0),
    Check("agents' reach", agents.reach),
    Check("turns", ledger.turns, 30.0),
    Check("host", host.host),
)


@dataclass(frozen=True)
class Examined:
    check: Check
    findings: tuple[Finding, ...]


def due(scene: Scene) -> Sequence[Check]:
    """The checks that can tell the truth here: of another user's host just whose it is."""
    return [check for check in CHECKS if check.look is state_dir.folder or not scene.closed]


def examine(scene: Scene, checks: Sequence[Check]) -> list[Examined]:
    """Carry out the checks side by side, each within its deadline."""
    begun, found = time.monotonic(), [Slot() for _ in checks]
    for check, slot in zip(checks, found, strict=True):
        # A daemon: one that never comes back must not keep the command from ending.
        threading.Thread(target=slot.fill, args=(check, scene), daemon=True).start()
    examined = []
    for check, slot in zip(checks, found, strict=True):
        left = begun + check.patience - time.monotonic()
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
    return warning(f"the check was not through after {check.patience:g} s",
                   "what it looks at hangs, or the machine is very busy",
                   "raftsup doctor, once more")  # fmt: skip


def _broken(check: Check, error: Exception) -> Finding:
    if isinstance(error, OSError):
        return bad(f"the check cannot look: {error}", "what it looks at is not known",
                   "fix that, then `raftsup doctor`")  # fmt: skip
    last = traceback.extract_tb(error.__traceback__)[-1]
    # Without its text: that may hold whatever was looked at.
    place = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
    return bad(f"the check itself is broken: {place}", "what it looks at is not known",
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
