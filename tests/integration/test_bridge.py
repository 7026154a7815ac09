"""The thread that keeps a bridge running, with real child processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from raftsup.backoff import Backoff
from raftsup.proc.child import IdleShim
from raftsup.raft_errors import Who
from raftsup.sim import timers
from raftsup.sim.server import RunningWorkspace, running_workspace
from raftsup.worker.bridge.process import Bridge, argv_of
from raftsup.worker.bridge.state import BridgeState, Life, Timings
from tests.integration.host import RAFT, wait_for
from tests.processes import alive

ENDPOINT = "http://127.0.0.1:1/wake"
LISTENS = '{"type": "agent_comms.lifecycle", "state": "listening_idle"}'


QUICK = Timings(quick=Backoff(base=0.02, cap=0.1), slow=Backoff(base=0.1, cap=0.2), look=0.05)


@dataclass
class Child:
    bridge: Bridge
    thread: threading.Thread
    lives: list[Life]

    def life(self, rule: Callable[[Life], object]) -> Life:
        """Wait for a life that fits."""
        return wait_for(lambda: next((life for life in self.lives if rule(life)), None))

    def stop(self, seconds: float = 15.0) -> None:
        self.bridge.stop()
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the bridge's thread does not end"


@contextmanager
def kept(
    argv: Sequence[str],
    env: dict[str, str] | None = None,
    timings: Timings = QUICK,
    idle: IdleShim | None = None,
) -> Iterator[Child]:
    lives: list[Life] = []
    who = Who("support", agent_id="agent-support", server="http://raft.invalid")
    env = env or {"PATH": os.environ["PATH"]}
    idle = idle or IdleShim()
    bridge = Bridge("support", who, env, lives.append, idle=idle, timings=timings)
    thread = threading.Thread(target=bridge.run, args=(argv,), daemon=True)
    thread.start()
    running = Child(bridge, thread, lives)
    try:
        yield running
    finally:
        running.stop()


def script(tmp_path: Path, text: str) -> list[str]:
    """A CLI that does what ``text`` says; the folder is its first argument."""
    path = tmp_path / "raft.py"
    path.write_text("import json, os, signal, sys, time\nfolder = sys.argv[1]\n" + text)
    return [sys.executable, str(path), str(tmp_path)]


def test_the_argv_is_the_clis_and_the_environment_is_only_what_was_given(tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "facts = {'argv': sys.argv[2:], 'env': dict(os.environ), 'in': sys.stdin.read()}\n"
        "open(folder + '/new', 'w').write(json.dumps(facts))\n"
        "os.rename(folder + '/new', folder + '/facts')\n"
        "time.sleep(60)\n",
    )
    env = {"PATH": os.environ["PATH"], "RAFT_CHANNEL_TOKEN": "t", "RAFT_EXPECTED_AGENT_ID": "a"}
    with kept(argv_of(command, "o'hara", ENDPOINT), env):
        wait_for((tmp_path / "facts").exists)
    facts = json.loads((tmp_path / "facts").read_text())
    assert facts["argv"] == [
        "--profile", "o'hara", "agent", "bridge", "--wake-adapter", "wake-channel",
        "--wake-channel-endpoint", ENDPOINT, "--json",
    ]  # fmt: skip
    facts["env"].pop("LC_CTYPE", None)  # Python's own, of the script
    assert facts["env"] == env
    assert facts["in"] == ""


def test_a_bridge_that_dies_is_started_again_and_again_with_its_last_words_kept(
    tmp_path: Path,
) -> None:
    command = script(
        tmp_path,
        "for n in range(9):\n  print(f'line {n}', file=sys.stderr)\nsys.exit(3)\n",
    )
    with kept(command) as running:
        life = running.life(lambda life: life.restarts >= 3 and life.pid is None)
    assert life.state is BridgeState.WAITING
    assert life.last_exit == "exited with 3"
    assert life.last_error == "\n".join(f"line {n}" for n in (4, 5, 6, 7, 8))
    assert "exited with 3" in life.reason


def test_a_bridge_killed_by_a_signal_says_which_and_its_successor_becomes_healthy(
    tmp_path: Path,
) -> None:
    with kept(script(tmp_path, f"print('{LISTENS}', flush=True)\ntime.sleep(60)\n")) as running:
        first = running.life(lambda life: life.healthy).pid
        assert first
        os.kill(first, signal.SIGKILL)
        running.life(lambda life: life.last_exit == "killed by SIGKILL")
        second = running.life(lambda life: life.healthy and life.pid != first)
        assert second.restarts == 1
    assert not alive(first)
    assert second.pid and not alive(second.pid)


def test_it_is_not_healthy_for_a_moment_without_a_living_process(tmp_path: Path) -> None:
    command = script(tmp_path, f"print('{LISTENS}', flush=True)\nsys.exit(1)\n")
    with kept(command) as running:
        running.life(lambda life: life.restarts >= 3)
    for before, after in zip(running.lives, running.lives[1:], strict=False):
        assert not (after.healthy and after.pid is None)
        if before.healthy:
            assert not after.healthy, "death is told before the next start"


def test_garbage_on_standard_output_changes_nothing(tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "out = sys.stdout.buffer\n"
        "out.write(b'\\xff\\xfe\\n[]\\n42\\nnull\\n{\"state\":\\n' + b'x' * 300000 + b'\\n\\n')\n"
        "out.write(b'{\"state\": \"no such\"}\\n' + b'{\"a\":' * 2000 + b'\\n')\n"
        f"out.write(b'{LISTENS}\\n'); out.flush()\ntime.sleep(60)\n",
    )
    with kept(command) as running:
        running.life(lambda life: life.healthy)
        states = [life.state for life in running.lives]
        assert list(dict.fromkeys(states)) == [BridgeState.CONNECTING, BridgeState.LISTENING]


def test_a_bridge_that_says_more_than_any_pipe_holds_does_not_stall(tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "for stream in (sys.stdout, sys.stderr):\n"
        "  for _ in range(3000):\n    print('x' * 99, file=stream)\n  stream.flush()\n"
        f"print('{LISTENS}', flush=True)\ntime.sleep(60)\n",
    )
    with kept(command) as running:
        running.life(lambda life: life.healthy)


def test_a_missing_cli_is_told_with_what_to_do_and_used_once_it_is_there(tmp_path: Path) -> None:
    there = tmp_path / "raft"
    with kept([str(there)]) as running:
        life = running.life(lambda life: life.state is BridgeState.MISSING)
        assert "npm i -g @botiverse/raft" in life.reason
        assert str(there) in life.reason
        fresh = tmp_path / "fresh"
        fresh.write_text(f"#!/bin/sh\necho '{LISTENS}'\nexec sleep 60\n")
        fresh.chmod(0o755)
        fresh.rename(there)
        running.life(lambda life: life.healthy)


def test_a_bare_name_is_looked_up_on_the_path_that_it_was_given(tmp_path: Path) -> None:
    cli = tmp_path / "some-raft"
    cli.write_text(f"#!/bin/sh\necho '{LISTENS}'\nexec sleep 60\n")
    cli.chmod(0o755)
    with kept(["some-raft"], {"PATH": f"{tmp_path}:/usr/bin:/bin"}) as running:
        running.life(lambda life: life.healthy)


def test_a_stop_ends_also_a_bridge_that_ignores_term_and_what_it_started(tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "  os.setsid()\n"
        "  open(folder + '/grandchild', 'w').write(str(os.getpid()))\n"
        "  time.sleep(60)\n"
        f"while not os.path.exists(folder + '/grandchild'): time.sleep(0.01)\n"
        f"print('{LISTENS}', flush=True)\ntime.sleep(60)\n",
    )
    with kept(command) as running:
        pid = running.life(lambda life: life.healthy).pid
        running.stop()
        assert running.bridge.life.state is BridgeState.STOPPED
    assert pid and not alive(pid)
    assert not alive(int((tmp_path / "grandchild").read_text()))


def test_a_stop_while_it_waits_for_the_next_start_returns_at_once(tmp_path: Path) -> None:
    slow = Timings(quick=Backoff(base=3600.0, cap=3600.0))
    with kept(script(tmp_path, "sys.exit(1)\n"), timings=slow) as running:
        running.life(lambda life: life.state is BridgeState.WAITING)
        running.stop()


def _is_shim(process: psutil.Process) -> bool:
    try:
        return "raftsup: " in " ".join(process.cmdline())
    except psutil.Error:  # another test's child, not waited for yet
        return False


def test_a_restart_forks_nothing_from_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has threads by then: a fork may inherit a lock that nobody gives back."""
    command = script(tmp_path, "sys.exit(1)\n")
    idle = IdleShim()
    idle.refill()

    def fork() -> int:
        raise AssertionError("forked")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fork", fork)
        with kept(command, idle=idle) as running:
            running.life(lambda life: life.restarts >= 3)
            shims = [p for p in psutil.Process().children() if _is_shim(p)]
    assert shims
    assert not any(shim.is_running() for shim in shims), "they end with their bridge"


def test_an_asked_end_is_not_told_as_a_death(tmp_path: Path) -> None:
    with kept(script(tmp_path, f"print('{LISTENS}', flush=True)\ntime.sleep(60)\n")) as running:
        running.life(lambda life: life.healthy)
        running.stop()
    assert BridgeState.WAITING not in {life.state for life in running.lives}
    assert (running.lives[-1].state, running.lives[-1].last_exit) == (BridgeState.STOPPED, None)


# The simulator's raft, with its real lock.


@contextmanager
def simulated(tmp_path: Path) -> Iterator[tuple[list[str], dict[str, str], Path]]:
    """argv and environment of a bridge of ``support``, and where its lock is."""
    with running_workspace(["support"], raft_home=tmp_path, keepalive=0.1) as raft:
        env = {
            **timers.SHORT,
            "PATH": os.environ["PATH"],
            "RAFT_HOME": str(tmp_path),
            "RAFT_CHANNEL_TOKEN": "t",
            "RAFT_EXPECTED_AGENT_ID": raft.workspace.find("support").id,
        }
        folder = (
            tmp_path / "profiles" / "support" / "agent-comms-core" / "agent-support" / "default"
        )
        folder.mkdir(parents=True)
        yield argv_of(RAFT, "support", ENDPOINT), env, folder / "bridge.lock"


@pytest.mark.parametrize("content", ["", "{not json", "reused"])
def test_a_lock_that_nobody_holds_is_healed(tmp_path: Path, content: str) -> None:
    with simulated(tmp_path) as (argv, env, lock):
        # This very process lives and is no bridge: a pid that was given away since.
        owner = {"pid": os.getpid(), "createdAt": "2026-01-01T00:00:00.000Z"}
        lock.write_text(json.dumps(owner) if content == "reused" else content)
        os.utime(lock, (1, 1))  # not one that a starting bridge is writing
        with kept(argv, env) as running:
            life = running.life(lambda life: life.healthy)
        assert life.restarts == 1


#: None of its delays ever ends within a test.
PATIENT = Timings(slow=Backoff(base=3600.0, cap=3600.0), look=0.05)


def test_a_lock_that_a_starting_bridge_may_be_writing_is_looked_at_again_soon(
    tmp_path: Path,
) -> None:
    with simulated(tmp_path) as (argv, env, lock):
        lock.write_text("")
        with kept(argv, env, timings=PATIENT) as running:
            running.life(lambda life: life.state is BridgeState.BLOCKED)
            running.life(lambda life: life.healthy)


def test_a_bridge_that_a_lock_keeps_from_starting_starts_once_that_is_gone(
    tmp_path: Path,
) -> None:
    with simulated(tmp_path) as (argv, env, lock):
        lock.write_text(json.dumps({"pid": 1}))  # whose that is cannot be told
        with kept(argv, env, timings=PATIENT) as running:
            life = running.life(lambda life: life.state is BridgeState.BLOCKED)
            assert f"`rm {lock}`" in life.reason
            lock.unlink()
            running.life(lambda life: life.healthy)


def test_the_lock_of_a_living_bridge_is_reported_with_its_pid_and_not_stolen(
    tmp_path: Path,
) -> None:
    with simulated(tmp_path) as (argv, env, lock), kept(argv, env) as first:
        holder = first.life(lambda life: life.healthy).pid
        before = lock.read_bytes()
        with kept(argv, env) as second:
            life = second.life(lambda life: life.state is BridgeState.BLOCKED)
            assert f"pid {holder}" in life.reason
            assert not any(life.healthy for life in second.lives)
        assert lock.read_bytes() == before
        assert first.bridge.life.healthy


@pytest.mark.parametrize(
    ("agent", "code"),
    [(None, "BRIDGE_EXPECTED_AGENT_REQUIRED"), ("agent-x", "BRIDGE_IDENTITY_MISMATCH")],
)
def test_a_wrong_agent_id_is_told_with_its_code_and_hint(
    tmp_path: Path, agent: str | None, code: str
) -> None:
    with simulated(tmp_path) as (argv, env, _):
        env.pop("RAFT_EXPECTED_AGENT_ID")
        with kept(argv, {**env, **({"RAFT_EXPECTED_AGENT_ID": agent} if agent else {})}) as running:
            life = running.life(lambda life: life.state is BridgeState.WAITING)
    assert code in life.reason
    assert "raft --profile support auth whoami" in life.reason


def test_a_profile_that_does_not_exist_is_told_with_what_to_do(tmp_path: Path) -> None:
    argv = argv_of(RAFT, "nobody", ENDPOINT)
    with simulated(tmp_path) as (_, env, _lock), kept(argv, env) as running:
        life = running.life(lambda life: life.state is BridgeState.WAITING)
    assert "PROFILE_FILE_UNREADABLE" in life.reason
    assert "raft agent login --server http://raft.invalid --agent agent-support" in life.reason


def test_a_lock_whose_file_vanished_meanwhile_is_no_obstacle(
    tmp_path: Path,
) -> None:
    said = "Code: BRIDGE_ALREADY_RUNNING\\nNext action: Stop it. Lock: {}/bridge.lock\\n"
    command = script(
        tmp_path,
        "if not os.path.exists(folder + '/once'):\n"
        "  open(folder + '/once', 'w').close()\n"
        f"  sys.stderr.write('{said}'.format(folder)); sys.exit(1)\n"
        f"print('{LISTENS}', flush=True)\ntime.sleep(60)\n",
    )
    with kept(command) as running:
        running.life(lambda life: life.healthy)


def test_what_cannot_be_started_for_want_of_a_process_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raftsup.proc import child as module

    real, refusals = module.spawn, iter([True, True])

    def spawn(*args: Any, **more: Any) -> module.Child:
        if next(refusals, False):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real(*args, **more)

    monkeypatch.setattr(module, "spawn", spawn)
    with kept(script(tmp_path, f"print('{LISTENS}', flush=True)\ntime.sleep(60)\n")) as running:
        running.life(lambda life: life.healthy)


# A server that is away, deaf or refuses.


@contextmanager
def bridged(
    tmp_path: Path, timings: Timings = QUICK, **env: str
) -> Iterator[tuple[RunningWorkspace, Child]]:
    """A bridge that listens, and its server."""
    with running_workspace(["support"], raft_home=tmp_path, keepalive=0.1) as raft:
        given = {
            **timers.SHORT,
            "PATH": os.environ["PATH"],
            "RAFT_HOME": str(tmp_path),
            "RAFT_EXPECTED_AGENT_ID": "agent-support",
            **env,
        }
        with kept(argv_of(RAFT, "support", ENDPOINT), given, timings) as running:
            running.life(lambda life: life.healthy)
            yield raft, running


def test_a_server_that_answers_503_is_told_at_once_and_its_return_too(tmp_path: Path) -> None:
    with bridged(tmp_path, RAFT_SIM_RETRY_CAP="0.3") as (raft, running):
        raft.fault("error")
        raft.fault("drop")
        life = running.life(lambda life: "failure 3 in a row" in life.reason)
        assert life.state is BridgeState.DEGRADED and life.restarts == 0
        assert "SERVER_5XX: injected" in life.reason
        raft.clear_faults()
        wait_for(lambda: running.bridge.life.healthy)


def test_a_server_that_never_answers_makes_the_bridge_silent_and_it_is_restarted(
    tmp_path: Path,
) -> None:
    deaf = Timings(silence=0.6, restart=1.2, quick=Backoff(base=0.02, cap=0.1))
    with bridged(tmp_path, deaf) as (raft, running):
        first = running.bridge.life.pid
        raft.fault("stall")
        raft.fault("drop")
        life = running.life(lambda life: life.state is BridgeState.SILENT)
        assert "after 1.2 s of silence it is restarted by itself" in life.reason
        assert life.pid == first
        life = running.life(lambda life: life.state is BridgeState.WAITING)
        assert "ended by raftsup after 1.2 s of silence" in life.reason
        # It connects, and is as deaf.
        running.life(lambda life: life.state is BridgeState.SILENT and life.pid != first)
        raft.clear_faults()
        wait_for(lambda: running.bridge.life.healthy)
    assert first and not alive(first)


def test_a_stopped_bridge_is_silent_and_restarted(tmp_path: Path) -> None:
    deaf = Timings(silence=0.6, restart=1.2, quick=Backoff(base=0.02, cap=0.1))
    with bridged(tmp_path, deaf) as (_, running):
        first = running.bridge.life.pid
        assert first
        os.kill(first, signal.SIGSTOP)
        running.life(lambda life: life.state is BridgeState.SILENT)
        running.life(lambda life: life.healthy and life.pid != first)
    assert not alive(first)


def test_a_refused_server_ends_the_bridge_and_it_comes_back_by_itself(tmp_path: Path) -> None:
    with bridged(tmp_path) as (raft, running):
        raft.refuse()
        life = running.life(lambda life: life.state is BridgeState.WAITING)
        assert "(CHECK_FAILED)" in life.reason and "tried again by itself" in life.reason
        raft.listen()
        wait_for(lambda: running.bridge.life.healthy)


def test_a_revoked_credential_says_how_to_sign_in_and_a_new_one_is_taken_at_once(
    tmp_path: Path,
) -> None:
    patient = Timings(slow=Backoff(base=3600.0, cap=3600.0), look=0.05)
    with bridged(tmp_path, patient) as (raft, running):
        raft.workspace.renew_token("support")
        raft.fault("drop")
        life = running.life(lambda life: life.state is BridgeState.WAITING)
        assert '"Invalid agent credential"' in life.reason
        assert "sign in again: `raft agent login --server" in life.reason
        raft.write_profile(tmp_path, "support")
        wait_for(lambda: running.bridge.life.healthy)


def test_a_credential_that_is_revoked_under_an_open_stream_is_told_and_a_new_one_is_taken(
    tmp_path: Path,
) -> None:
    quick = Timings(quick=Backoff(base=0.02, cap=0.1), look=0.05)
    with bridged(tmp_path, quick, RAFT_SIM_RECONCILE="0.2") as (raft, running):
        first = running.bridge.life.pid
        raft.workspace.renew_token("support")
        life = running.life(lambda life: life.state is BridgeState.REVOKED)
        assert life.pid == first and '"Invalid agent credential"' in life.reason
        raft.write_profile(tmp_path, "support")
        wait_for(lambda: running.bridge.life.healthy and running.bridge.life.pid != first)
        assert any("its profile was signed in anew" in life.reason for life in running.lives)


def test_a_server_without_a_stream_and_a_flapping_one_leave_it_listening_in_the_end(
    tmp_path: Path,
) -> None:
    with bridged(tmp_path) as (raft, running):
        raft.fault("error", route="/internal/agent-api/wake-hints/stream", status=404)
        raft.fault("drop")
        running.life(lambda life: life.state is BridgeState.DEGRADED)
        wait_for(lambda: running.bridge.life.healthy)
        assert running.bridge.life.restarts == 0


def test_passes_and_flapping_write_few_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "raftsup"), bridged(tmp_path) as (_, running):
        heard = running.bridge.life.heard_at
        wait_for(lambda: running.bridge.life.heard_at > heard + 1)
    said = [record.getMessage() for record in caplog.records]
    assert [line.split()[0] for line in said] == [
        "action=bridge.started",
        "action=bridge.connecting",
        "action=bridge.listening",
        "action=bridge.stopped",
    ]
