"""The promise under fire: SIGKILL to any process at random moments, and nothing is lost, nothing
that ended is run again, and nothing is left behind.

The short form runs with the other tests; the long one, three accounts, 300 messages and a minute
of kills, with ``RAFTSUP_LONG=1``. ``RAFTSUP_SEED`` chooses other moments.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass

import psutil
import pytest

from raftsup.ledger import open_ledger
from raftsup.sim import agent
from raftsup.turn import ENDED, Turn
from tests.integration.host import Host, running, wait_for

ACCOUNTS = ("support", "sales", "engineering")
LONG = bool(os.environ.get("RAFTSUP_LONG"))
SEED = int(os.environ.get("RAFTSUP_SEED", "20261121"))
MESSAGES, SECONDS = (300, 60.0) if LONG else (60, 12.0)
#: Whom to kill, how often in comparison.
WEIGHTS = {"turn": 4, "turn shim": 2, "bridge": 3, "bridge shim": 1, "worker": 2,
           "dispatcher": 2}  # fmt: skip


@dataclass(frozen=True)
class Target:
    role: str
    process: psutil.Process


def targets(parent: int) -> list[Target]:
    """The host's processes by role, the parent excluded. A shim's child is what it keeps."""
    found = []
    for process in psutil.Process(parent).children():
        title = _title(process)
        role = "dispatcher" if title == "raftsup: dispatcher" else "worker"
        if title.startswith("raftsup: "):
            found.append(Target(role, process))
        with contextlib.suppress(psutil.NoSuchProcess):
            for shim in process.children():
                kept = "bridge" if _title(shim).startswith("raftsup: bridge") else "turn"
                found.append(Target(f"{kept} shim", shim))
                with contextlib.suppress(psutil.NoSuchProcess):
                    found += [Target(kept, child) for child in shim.children()]
    return found


def _title(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()).strip()
    return ""


def kill_one(host: Host, parent: int, dice: random.Random, killed: Counter[str]) -> None:
    found = targets(parent)
    if not found:
        return
    role = dice.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
    victims = [target for target in found if target.role == role]
    if victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            dice.choice(victims).process.send_signal(signal.SIGKILL)
            killed[role] += 1


@pytest.mark.timeout(400)
def test_every_message_is_answered_and_no_ended_turn_is_run_again_under_sigkill() -> None:
    dice = random.Random(SEED)
    with running(ACCOUNTS) as host:
        host.configure(
            {name: {} for name in ACCOUNTS},
            # A killed agent is a failed attempt: enough of them, and short pauses.
            turns={"attempts": 20, "pause": "50ms", "maxPause": "500ms", "keep": 100000},
        )
        # CLI 0.0.24 loses what it has read and not yet printed when it is killed.
        host.up(RAFT_SIM_AGENT_SECONDS="0.03", RAFT_SIM_CLI_MODE="next")
        host.ready()
        parent, killed, texts = host.parent(), Counter[str](), []
        begun = time.monotonic()
        moments = sorted(dice.uniform(0, SECONDS) for _ in range(MESSAGES))
        for number, moment in enumerate(moments):
            # Between two messages, kills: this loop is the fire itself, not a wait for anything.
            while time.monotonic() - begun < moment:
                kill_one(host, parent, dice, killed)
                host.watch()
                time.sleep(dice.uniform(0.05, 0.6))
            texts.append(f"message {number}")
            host.raft.workspace.post(dice.choice(ACCOUNTS), texts[-1])
        assert killed["dispatcher"] and killed["worker"] and killed["bridge"] and killed["turn"]

        wanted = {f"echo: {text}" for text in texts}
        with told(host, killed):
            wait_for(lambda: wanted <= {r.text for r in host.raft.workspace.replies()}, 150.0)
            wait_for(lambda: all(turn.state in ENDED for turn in turns(host)), 60.0)
            host.ready()
            check(host)
        assert host.run("stop").returncode == 0
        host.gone()
        assert host.run("ledger", "verify").returncode == 0
        print(f"killed {dict(killed)}; {len(turns(host))} turns for {MESSAGES} messages")


def turns(host: Host) -> list[Turn]:
    ledger = open_ledger(host.state.ledger, readonly=True)
    try:
        return ledger.recent(limit=1_000_000)
    finally:
        ledger.close()


def check(host: Host) -> None:
    ended = {turn.id: turn for turn in turns(host)}
    log = "".join(path.read_text() for path in sorted(host.state.logs.glob("accounts-*")))
    accepted = {int(n) for n in re.findall(r"action=wake\.accepted turn=(\d+)", log)}
    assert accepted and accepted <= ended.keys(), "an accepted wake owes no turn"

    over: set[str] = set()
    for action, turn in re.findall(
        r"action=turn\.(\w+) turn=(\d+)", (host.state.logs / "dispatcher.log").read_text()
    ):
        if action == "started":
            assert turn not in over, f"turn {turn} ended and was started again"
        elif action in {"done", "failed", "timed_out", "cancelled"}:
            over.add(turn)

    for account in ACCOUNTS:
        runs = [json.loads(line) for line in _run_log(host, account)]
        begun = Counter((run["turn"], run["attempt"]) for run in runs if run["event"] == "begin")
        assert all(count == 1 for count in begun.values()), "an attempt ran twice"
        for turn, attempt in begun:
            assert int(attempt) <= ended[int(turn)].attempt, "an attempt that nobody owed"
        assert not [run for run in runs if run["event"] == "overlap"], "two runs of a lane overlap"


def _run_log(host: Host, account: str) -> list[str]:
    return (host.profiles / account / "agent" / agent.RUNS).read_text().splitlines()


@contextlib.contextmanager
def told(host: Host, killed: Counter[str]):  # type: ignore[no-untyped-def]
    try:
        yield
    except AssertionError as error:
        left = [turn for turn in turns(host) if turn.state not in ENDED]
        raise AssertionError(
            f"seed {SEED}, killed {dict(killed)}: {error}\n{left}\n{host.status()}\n"
            f"{host.said()[-20000:]}"
        ) from None
