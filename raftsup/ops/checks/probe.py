"""``raftsup status --probe``: each part of a wake's way tried now, account by account.

The checks are the doctor's, side by side, each step with a deadline. No check owes a turn or calls
a model.
"""

from __future__ import annotations

from collections.abc import Sequence

from raftsup.ops.checks import registry
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, Severity
from raftsup.ops.checks.registry import Use
from raftsup.ops.status.document import AccountStatus, ProbeStep, Status

_ASIDE = ("disabled", "misconfigured")
_GOOD = {Severity.GOOD: True, Severity.WARNING: True, Severity.FAIL: False, Severity.UNTRIED: None}
#: The worst says how a step is.
_WORST = (Severity.FAIL, Severity.UNTRIED, Severity.WARNING, Severity.GOOD)


def probe(status: Status, scene: Scene) -> Status:
    """``status``, the scene's, with a ``probe`` beside every account that is to run."""
    examined = registry.examine(scene, registry.due(scene, Use.PROBE))

    def steps(id_: str) -> list[ProbeStep]:
        return [
            _step(one.check.step, id_, found) if found else _untried(one.check.step, scene, id_)
            for one in examined
            for found in [[f for f in one.findings if id_ in f.accounts or not f.accounts]]
        ]

    accounts: list[AccountStatus] = [
        {**a, "probe": steps(a["account"]) if a["state"] not in _ASIDE else []}
        for a in status["accounts"]
    ]
    return {**status, "accounts": accounts}


def _step(step: str, id_: str, found: Sequence[Finding]) -> ProbeStep:
    severity = min((finding.severity for finding in found), key=_WORST.index)
    worst = [finding for finding in found if finding.severity is severity]
    text = "; ".join(_text(finding, id_) for finding in worst)
    return {"check": step, "good": _GOOD[severity], "text": text, "brief": worst[0].brief}


def _text(finding: Finding, id_: str) -> str:
    if finding.facts:
        return f"{finding.facts['kind']}: {finding.facts['text']}"
    more = f"`{finding.fix}`" if finding.fix else finding.advice
    what = finding.what.removeprefix(f"account {id_}: ")
    return f"{what}; {more}" if more and finding.severity is Severity.FAIL else what


def _untried(step: str, scene: Scene, id_: str) -> ProbeStep:
    """What is said of a step that no check has a word about."""
    if scene.config is None:
        problem = next(iter(scene.problems), None)
        why = f"{problem.where}: {problem.what}" if problem else "the config cannot be read"
    elif scene.config.account(id_) is None:
        why = "the config file has no such account"
    else:
        why = "there is no Raft CLI" if step == "profile" else "the config does not run the account"
    return {"check": step, "good": None, "text": f"not tried: {why}", "brief": ""}
