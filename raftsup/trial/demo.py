"""``raftsup demo``: the main job, on a simulated Raft, with kills in the middle.

Everything is real but Raft and the agent: the host runs as its users run it, in a process of its
own. What is shown comes from the simulator (messages, replies), the ledger (wakes, turns) and the
agents' own run logs; the verdict is the ledger's and theirs, not the host's word.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from raftsup import report
from raftsup.config.load import load
from raftsup.errors import RaftsupError
from raftsup.ops import status
from raftsup.paths import StateDir
from raftsup.report import WorkerReport
from raftsup.sim.server import RunningWorkspace, running_workspace
from raftsup.sim.timers import SHORT, SHORT_KEEPALIVE
from raftsup.trial import verdict
from raftsup.trial.throwaway import ACCOUNTS, RAFT, SHORT_TIMERS, simulated
from raftsup.turn import ENDED, State
from raftsup.wait import until

_READY = 30.0
_ANSWERED = 60.0
Say = Callable[[str], None]


class DemoFailed(RaftsupError):
    """What did not happen in time."""


def run(messages: int, say: Say) -> list[str]:
    """Play the demo with ``messages`` messages; what went wrong, in words ([]: nothing).

    Raises ``DemoFailed`` where the host does not come up or does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="raftsup-demo-") as folder:
        root = Path(folder)
        with running_workspace(ACCOUNTS, root / "raft", keepalive=SHORT_KEEPALIVE) as raft:
            environ, state = _environment(root), StateDir(root / "state")
            say(f"a simulated Raft at {raft.url}; accounts: {', '.join(ACCOUNTS)}")
            say(SHORT_TIMERS)
            with _host(environ, root / "host.log") as host:
                _until_ready(environ, state, host)
                say(f"raftsup is up (pid {host.pid}): every account ready")
                killed = _talk(raft, state, messages, say)
                _until_answered(raft, state, messages, host)
                family = psutil.Process(host.pid).children(recursive=True)
            ways, turns = (
                verdict.ways_of(raft.workspace, state, root / "raft" / "profiles"),
                verdict.turns_of(state),
            )
            for number, way in enumerate(ways, 1):
                say(verdict.line(number, way))
            say(f"killed in the middle: {', '.join(killed)}")
            runs = verdict.runs_of(root / "raft" / "profiles", ACCOUNTS)
            problems = verdict.problems(ways, turns, runs)
            problems += [f"still there: {p}" for p in family if verdict.lives(p)]
            say(
                f"{len(ways)} messages, {len(turns)} wakes accepted,"
                f" {sum(t.state is State.DONE for t in turns)} turns done,"
                f" {sum(len(w.replies) for w in ways)} replies"
            )
            return problems


def _environment(root: Path) -> dict[str, str]:
    ours = ("RAFT_", "RAFTSUP_", "SLOCK_")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environ["RAFT_HOME"] = str(root / "raft")
    environ["RAFTSUP_STATE_DIR"] = str(root / "state")
    environ["RAFTSUP_CONFIG_PATH"] = str(root / "raftsup.json5")
    environ |= {"RAFT_SIM_CLI": shlex.join(RAFT), **SHORT}
    (root / "raftsup.json5").write_text(simulated(ACCOUNTS))
    return environ


@contextmanager
def _host(environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        host = subprocess.Popen(
            [sys.executable, "-m", "raftsup", "up"],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            # Ctrl-C in the terminal is this process's to hear; it then stops the host.
            start_new_session=True,
        )
    try:
        yield host
    finally:
        host.terminate()
        try:
            host.wait(40)
        except subprocess.TimeoutExpired:
            host.kill()
            host.wait()


def _until(condition: Callable[[], bool], seconds: float, what: str, log: Path) -> None:
    if not until(condition, seconds):
        tail = log.read_text(errors="replace")[-2000:]
        raise DemoFailed(f"{what} within {seconds:g} s; the host's log ends:\n{tail}")


def _until_ready(environ: dict[str, str], state: StateDir, host: subprocess.Popen[bytes]) -> None:
    config = load(None, environ)
    log = state.root.parent / "host.log"

    def ready() -> bool:
        if host.poll() is not None:
            raise DemoFailed(f"the host ended with {host.returncode}:\n{log.read_text()}")
        return status.all_ready(status.collect(config.accounts, state))

    _until(ready, _READY, "the accounts are not ready", log)


def _talk(raft: RunningWorkspace, state: StateDir, messages: int, say: Say) -> list[str]:
    """Send the messages, killing a bridge after a third and a worker after two."""
    killed = []
    for number in range(messages):
        account = ACCOUNTS[number % len(ACCOUNTS)]
        raft.workspace.post(f"agent-{account}", f"message {number + 1}")
        if number == messages // 3:
            killed.append(_kill(state, ACCOUNTS[0], "bridge", say))
        elif number == 2 * messages // 3:
            killed.append(_kill(state, ACCOUNTS[1], "worker", say))
        time.sleep(0.15)
    return killed


def _kill(state: StateDir, account: str, what: str, say: Say) -> str:
    said: WorkerReport = report.read(state.report(account)) or {}
    pid = said["bridge"]["pid"] if what == "bridge" else said["pid"]
    if pid is None:
        return f"no {what} of {account}: it was starting"
    os.kill(pid, signal.SIGKILL)
    say(f"SIGKILL to the {what} of {account} (pid {pid})")
    return f"the {what} of {account}"


def _until_answered(
    raft: RunningWorkspace, state: StateDir, messages: int, host: subprocess.Popen[bytes]
) -> None:
    def settled() -> bool:
        texts = {reply.text for reply in raft.workspace.replies()}
        answered = all(f"echo: message {n + 1}" in texts for n in range(messages))
        return answered and all(turn.state in ENDED for turn in verdict.turns_of(state))

    _until(settled, _ANSWERED, "not every message was answered", state.root.parent / "host.log")
