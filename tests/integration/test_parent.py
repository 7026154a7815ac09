"""The parent: what it starts, what it restarts, and that nothing survives it."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from raftsup import exit_codes
from raftsup.ops import rpc
from tests.integration.host import AGENT, Host, running, wait_for

HANGS = {**AGENT, "env": {**AGENT["env"], "RAFT_SIM_AGENT_HANG": "1"}}
#: A turn with a grandchild in a session of its own, deaf to SIGTERM; both hang.
CLINGS = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(os.environ["MARK"], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""


@pytest.fixture
def host() -> Iterator[Host]:
    with running() as host:
        yield host


def pids(host: Host) -> dict[str, int]:
    """Every process that matters by name: dispatcher, workers, their bridges."""
    status = host.status()
    found = {"dispatcher": status["dispatcher"]["pid"]}
    for account in status["accounts"]:
        found[account["account"]] = account["endpoint"]["pid"]
        found[f"bridge of {account['account']}"] = account["bridge"]["pid"]
    return found


def without(found: dict[str, int], account: str) -> dict[str, int]:
    return {k: v for k, v in found.items() if k not in (account, f"bridge of {account}")}


def turns(host: Host, account: str = "support") -> Any:
    return host.account(account)["turns"]


def hang(host: Host, drain: str = "60s") -> None:
    """Start the host and one turn of ``support`` that does not end."""
    host.configure({"support": {"agent": HANGS}, "sales": {}}, turns={"drain": drain})
    host.up()
    host.ready()
    host.raft.workspace.post("support", "hello")
    wait_for(lambda: turns(host)["running"] == 1, what="a running turn")
    host.watch()


def process_state(host: Host, account: str) -> tuple[str, str]:
    info = rpc.call(host.state, "getProcessInfo", f"accounts:{account}")
    return info["statename"], info["spawnerr"]


def test_a_killed_worker_is_restarted_and_nobody_else_notices(host: Host) -> None:
    host.up()
    host.ready()
    before = pids(host)
    os.kill(before["support"], signal.SIGKILL)
    wait_for(lambda: pids(host)["support"] not in (None, before["support"]), what="a new worker")
    host.ready()
    after = pids(host)
    assert without(after, "support") == without(before, "support")
    assert after["bridge of support"] != before["bridge of support"]
    host.raft.workspace.post("support", "still there?")
    host.answered("still there?")


def test_a_killed_dispatcher_is_restarted_and_takes_what_came_meanwhile(host: Host) -> None:
    host.up()
    host.ready()
    before = pids(host)
    os.kill(before["dispatcher"], signal.SIGKILL)
    host.raft.workspace.post("support", "anyone?")
    host.answered("anyone?")
    after = pids(host)
    assert after["dispatcher"] != before["dispatcher"]
    assert {**after, "dispatcher": 0} == {**before, "dispatcher": 0}


def test_a_worker_that_keeps_dying_backs_off_visibly_with_growing_delays(host: Host) -> None:
    host.up()
    host.ready()
    delays: list[float] = []
    killed: set[int] = set()
    words: set[str] = set()

    def four_deaths() -> bool:
        state, remark = process_state(host, "support")
        words.add(state)
        if state == "BACKOFF":
            found = re.search(r"SIGKILL; start (\d+) in ([\d.]+) s", remark)
            assert found, remark
            if int(found[1]) == len(delays) + 2:
                delays.append(float(found[2]))
                if len(delays) == 3:
                    assert host.account("support")["state"] == "down"
                    assert remark in host.account("support")["reason"]
        else:
            pid = rpc.call(host.state, "getProcessInfo", "accounts:support")["pid"]
            if pid and pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        return len(delays) == 4

    wait_for(four_deaths, what=f"four deaths ({delays})")
    assert delays == sorted(set(delays)), "each delay is longer than the one before"
    assert delays[3] > 1.0
    assert not words & {"FATAL", "EXITED", "UNKNOWN"}
    assert host.account("sales")["state"] == "ready"
    host.ready()


def test_a_hung_worker_is_killed_and_restarted(host: Host) -> None:
    host.configure({"support": {}, "sales": {}}, supervisor={"watchdog": "4s"})
    host.up()
    host.ready()
    before = pids(host)
    os.kill(before["support"], signal.SIGSTOP)
    wait_for(lambda: pids(host)["support"] not in (None, before["support"]), what="a new worker")
    host.ready()
    # The others, watched by the same rule, are none the worse for it.
    assert without(pids(host), "support") == without(before, "support")
    why = "silent for 4 s, killed by the watchdog"
    assert f"accounts:support (pid {before['support']}): {why}" in host.said()
    # The same stands in ``status`` until it runs again.
    assert f"accounts:support: {why}; start 2 in" in host.said()


def test_a_hung_dispatcher_is_killed_and_restarted(host: Host) -> None:
    host.configure({"support": {}, "sales": {}}, supervisor={"watchdog": "4s"})
    host.up()
    host.ready()
    before = rpc.call(host.state, "getProcessInfo", "dispatcher")["pid"]
    os.kill(before, signal.SIGSTOP)
    wait_for(lambda: f"`kill -CONT {before}`" in host.account("support")["reason"])
    assert host.account("support")["state"] == "degraded"
    host.raft.workspace.post("support", "anyone?")
    host.answered("anyone?")
    assert pids(host)["dispatcher"] != before


def test_a_second_host_on_the_folder_is_refused_and_told_who_runs(host: Host) -> None:
    first = host.up()
    host.ready()
    before = pids(host)
    for words in (("up",), ("up", "-d")):
        second = host.run(*words)
        assert second.returncode == exit_codes.ALREADY_RUNNING
        assert f"pid {first.pid}" in second.stderr
        assert "--force" in second.stderr
    assert pids(host) == before


def test_of_several_that_are_started_at_once_one_runs_and_the_others_say_who(host: Host) -> None:
    rivals = [host.start("up", "-d") for _ in range(3)]
    codes = sorted(rival.wait(60) for rival in rivals)
    assert codes == [exit_codes.OK, exit_codes.ALREADY_RUNNING, exit_codes.ALREADY_RUNNING]
    parent = host.parent()
    for number, rival in enumerate(rivals):
        said = (host.root / f"{number}.log").read_text()
        won = rival.returncode == exit_codes.OK
        assert f"{'in the background: ' if won else 'already runs on'}" in said
        assert f"pid {parent}" in said, said
    host.ready()


def test_a_mistyped_variable_is_warned_of(host: Host) -> None:
    mistyped = {"RAFTSUP_TURNS_TIEMOUT": "5m", "RAFTSUP_MY_TOKEN": "x"}
    host.up(**mistyped)
    host.ready()
    told = "RAFTSUP_TURNS_TIEMOUT in the environment is read by nobody: did you mean"
    assert f"warning: {told} RAFTSUP_TURNS_TIMEOUT?" in host.said()
    assert "MY_TOKEN" not in host.said()
    for words in (("config", "check"), ("doctor",)):
        said = " ".join(host.run(*words, **mistyped).stdout.split())
        assert f"{told} RAFTSUP_TURNS_TIMEOUT?" in said and "MY_TOKEN" not in said


def test_force_stops_the_first_host_and_takes_its_place(host: Host) -> None:
    first = host.up()
    host.ready()
    second = host.up("--force")
    assert first.wait(20) == exit_codes.OK
    wait_for(lambda: host.parent() == second.pid, what="the second host")
    host.ready()
    assert host.run("status").returncode == exit_codes.OK


def test_force_works_detached_as_well(host: Host) -> None:
    first = host.up()
    host.ready()
    second = host.run("up", "-d", "--force")
    assert second.returncode == exit_codes.OK, second.stderr
    assert first.wait(20) == exit_codes.OK
    assert f"pid {host.parent()}" in second.stdout
    host.ready()


def test_force_without_another_host_is_a_plain_start(host: Host) -> None:
    host.up("--force")
    host.ready()


def test_detached_it_answers_before_the_command_returns_and_a_stop_leaves_nothing(
    host: Host,
) -> None:
    up = host.run("up", "-d")
    assert up.returncode == exit_codes.OK, up.stderr
    parent = host.parent()
    assert f"pid {parent}" in up.stdout
    rpc.call(host.state, "getState")
    assert os.getsid(parent) == parent, "it has no terminal to lose"
    host.ready()
    host.raft.workspace.post("support", "hello")
    host.answered("hello")
    stop = host.run("stop")
    assert (stop.returncode, stop.stdout) == (exit_codes.OK, f"raftsup stopped (pid {parent})\n")
    host.gone()
    assert "Traceback" not in host.said()
    assert host.run("stop").returncode == exit_codes.NOT_RUNNING


def test_a_detached_start_that_fails_says_why_with_its_own_code(host: Host) -> None:
    host.config_path.write_text("{ channels: ")
    up = host.run("up", "-d")
    assert up.returncode == exit_codes.CONFIG
    assert str(host.config_path) in up.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_drains_the_running_turn_and_leaves_no_process(
    host: Host, number: signal.Signals
) -> None:
    slow = {**AGENT, "env": {**AGENT["env"], "RAFT_SIM_AGENT_SECONDS": "1"}}
    host.configure({"support": {"agent": slow}, "sales": {}})
    up = host.up()
    host.ready()
    host.raft.workspace.post("support", "one more thing")
    wait_for(lambda: turns(host)["running"] == 1, what="a running turn")
    host.watch()
    # As a terminal does it for Ctrl-C: to the whole foreground group.
    os.killpg(up.pid, number)
    assert up.wait(20) == exit_codes.OK
    host.gone()
    host.answered("one more thing")
    last = turns(host).pop("last")
    assert (last["turn"], last["state"]) == (1, "done")
    assert {k: turns(host)[k] for k in ("queued", "running", "done", "failed")} == {
        "queued": 0, "running": 0, "done": 1, "failed": 0,
    }  # fmt: skip


def test_a_stop_interrupts_what_outlasts_the_drain_and_the_next_start_runs_it_again(
    host: Host,
) -> None:
    hang(host, drain="500ms")
    (up,) = host.started
    up.terminate()
    assert up.wait(20) == exit_codes.OK
    host.gone()
    host.configure({"support": {}, "sales": {}})
    host.up()
    host.answered("hello")
    wait_for(lambda: turns(host)["done"] == 1)
    assert turns(host)["failed"] == 0


def test_a_second_sigterm_does_not_wait_for_the_running_turn(host: Host) -> None:
    hang(host)
    (up,) = host.started
    up.terminate()
    wait_for(lambda: host.status()["dispatcher"]["state"] == "draining", what="a drain")
    assert turns(host)["running"] == 1
    up.terminate()
    up.wait(20)
    host.gone()


def test_sigkill_of_the_parent_leaves_no_process_not_even_a_turns_grandchild(host: Host) -> None:
    agent = host.root / "agent.py"
    agent.write_text(CLINGS)
    mark = host.root / "grandchild"
    clings = {"kind": "command", "command": [sys.executable, str(agent)]}
    host.configure({"support": {"agent": {**clings, "env": {"MARK": str(mark)}}}, "sales": {}})
    up = host.up()
    host.ready()
    host.raft.workspace.post("support", "hello")
    wait_for(lambda: mark.exists() and mark.read_text(), what="the grandchild")
    grandchild = psutil.Process(int(mark.read_text()))
    assert grandchild in host.watch()
    assert len(host.seen) >= 10  # parent, dispatcher, 2 workers, 2 bridges, 3 shims, turn
    up.kill()
    up.wait()
    host.gone()


def test_a_host_started_at_once_after_a_killed_one_loses_nothing(host: Host) -> None:
    slow = {**AGENT, "env": {**AGENT["env"], "RAFT_SIM_AGENT_SECONDS": "0.5"}}
    host.configure({"support": {"agent": slow}, "sales": {}})
    up = host.up()
    host.ready()
    host.raft.workspace.post("support", "first")
    wait_for(lambda: turns(host)["running"] == 1, what="a running turn")
    host.watch()
    up.kill()
    host.up()
    host.raft.workspace.post("support", "second")
    host.answered("first", "second")
    host.ready()


def test_supervisorctl_shutdown_is_a_stop_like_any_other(host: Host) -> None:
    up = host.up()
    host.ready()
    assert host.run("ctl", "shutdown").returncode == exit_codes.OK
    assert up.wait(20) == exit_codes.OK
    host.gone()


def test_a_stop_while_a_worker_waits_for_its_restart_ends_too(host: Host) -> None:
    up = host.up()
    host.ready()

    def waits() -> bool:
        state, remark = process_state(host, "support")
        pid = rpc.call(host.state, "getProcessInfo", "accounts:support")["pid"]
        if state != "BACKOFF" and pid:
            os.kill(pid, signal.SIGKILL)
        return state == "BACKOFF" and "start 5" in remark

    wait_for(waits, what="a long back-off")
    up.terminate()
    assert up.wait(20) == exit_codes.OK
    host.gone()


def test_a_state_folder_with_a_path_too_long_for_a_socket_is_refused_at_the_start(
    host: Host,
) -> None:
    folder = host.root / ("x" * 90)
    up = host.run("up", "--state-dir", str(folder))
    assert up.returncode == exit_codes.STATE_DIR
    assert "bytes long" in up.stderr
    assert "RAFTSUP_STATE_DIR" in up.stderr
    assert not folder.exists()


def test_an_open_state_folder_is_closed_and_a_dead_hosts_leftovers_are_no_obstacle(
    host: Host,
) -> None:
    root = host.state.root
    root.mkdir()
    root.chmod(0o755)
    for path in (host.state.supervisor_socket, host.state.dispatcher_socket):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
    # Pids are reused: this one lives.
    for name in ("raftsup.lock", "dispatcher.lock", "supervisord.pid"):
        (root / name).write_text(f"{os.getpid()}\n")
    host.up()
    host.ready()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE(host.state.supervisor_socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(host.state.dispatcher_socket.stat().st_mode) == 0o600


def test_a_config_that_cannot_be_read_starts_nothing(host: Host) -> None:
    host.config_path.write_text('{\n  channels: { raft: {\n    profile "support" } } }')
    up = host.run("up")
    assert up.returncode == exit_codes.CONFIG
    assert f"{host.config_path}:3" in up.stderr
    assert not host.state.root.exists()


def test_bad_and_disabled_accounts_do_not_keep_the_others_from_running(host: Host) -> None:
    host.configure({"support": {}, "off": {"enabled": False}, "bad": {"profile": ""}})
    host.up()
    host.ready("support")
    status = host.run("status")
    assert status.returncode == exit_codes.NOT_READY
    assert host.account("off")["state"] == "disabled"
    bad = host.account("bad")
    assert bad["state"] == "misconfigured"
    assert "profile" in bad["reason"]
    assert " ".join(bad["reason"].split()) in " ".join(status.stdout.split())


def test_a_restart_by_supervisorctl_reload_starts_the_host_over_with_the_file_of_today(
    host: Host,
) -> None:
    up = host.up()
    host.ready()
    before = pids(host)
    host.configure({"support": {}})
    rpc.call(host.state, "restart")
    wait_for(lambda: pids(host)["support"] not in (None, before["support"]), what="a new worker")
    host.ready("support")
    assert host.parent() == up.pid
    assert up.poll() is None
    assert not psutil.pid_exists(before["sales"])


def test_no_process_of_the_host_has_the_operators_secret_or_a_parents_descriptor(
    host: Host,
) -> None:
    host.up()
    host.ready()
    found = pids(host)
    for name in ("bridge of support", "bridge of sales"):
        process = psutil.Process(found[name])
        assert "OPERATORS_SECRET" not in process.environ()
        files = {f.path for f in process.open_files()}
        assert not [path for path in files if path.startswith(str(host.state.root))]
        assert not process.net_connections("unix")
