"""What ``status`` knows without the config file, and what it says of a lane that runs nothing."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from raftsup import exit_codes
from raftsup.config.model import Dedupe
from raftsup.dispatcher.control_client import request
from raftsup.ledger import LedgerUnavailable, open_ledger
from raftsup.ops import rpc
from raftsup.paths import StateDir
from raftsup.proc import liveness
from raftsup.supervisor import supervisord_conf
from raftsup.wake import Wake
from tests.integration.host import AGENT, RAFT, Host, running, wait_for


def test_the_status_of_a_running_host_needs_neither_its_file_nor_its_secrets() -> None:
    with running(("support", "sales")) as host:
        secret = {**AGENT, "env": {**AGENT["env"], "KEY": "${ONLY_THE_HOST_HAS_THIS}"}}
        host.configure({"support": {"agent": secret}, "sales": {"enabled": False}})
        host.up(ONLY_THE_HOST_HAS_THIS="x")
        wait_for(lambda: host.run("status").returncode == exit_codes.OK)
        host.config_path.write_text("{ half an ed")
        shown = host.run("status")
        assert shown.returncode == exit_codes.OK, shown.stderr
        assert "support" in shown.stdout and "disabled" in shown.stdout
        assert b"${ONLY" not in (host.state.root / "roster.json").read_bytes()
        assert host.run("stop").returncode == exit_codes.OK
        assert host.run("status").returncode == exit_codes.CONFIG


def test_a_paused_lane_is_seen_and_named() -> None:
    with running(("support", "sales")) as host:
        host.up()
        host.ready()
        request(host.state.dispatcher_socket, "pause", lane="support")
        assert "lane support is paused" in host.account("support")["reason"]
        assert host.account("sales")["state"] == "ready"
        assert host.run("status").returncode == exit_codes.NOT_READY
        request(host.state.dispatcher_socket, "pause")
        assert "every lane is paused" in host.account("sales")["reason"]
        request(host.state.dispatcher_socket, "resume")
        request(host.state.dispatcher_socket, "resume", lane="support")
        host.ready()


def test_a_lane_whose_turns_keep_failing_is_seen_with_its_next_attempt() -> None:
    with running(("support",)) as host:
        agent = {"kind": "command", "command": ["false"]}
        host.configure({"support": {"agent": agent}}, turns={"pause": "1m"})
        host.up()
        host.ready()
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: "keep failing (1 in a row)" in host.account("support")["reason"])
        assert host.account("support")["state"] == "degraded"


def test_turns_that_are_held_for_a_disabled_account_are_counted() -> None:
    with running(("support", "sales")) as host:
        host.configure({"support": {}, "sales": {}})
        host.up()
        host.ready()
        request(host.state.dispatcher_socket, "pause")
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: host.account("support")["turns"]["queued"] == 1)
        host.configure({"support": {"enabled": False}, "sales": {}})
        assert host.run("reload").returncode == exit_codes.OK
        wait_for(lambda: "1 turns are queued and held" in host.account("support")["reason"])


def test_turns_of_an_account_that_the_config_has_no_more_are_told_of() -> None:
    with running(("support", "sales")) as host:
        host.configure({"support": {}, "sales": {}})
        host.up()
        host.ready()
        request(host.state.dispatcher_socket, "pause", lane="support")
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: host.account("support")["turns"]["queued"] == 1)
        host.configure({"sales": {}})
        assert host.run("reload").returncode == exit_codes.OK
        for _ in ("with a host", "without"):
            left = host.status()["removed"]
            assert left == [{"account": "support", "queued": 1, "running": 0}]
            assert "support is no longer in the config" in host.run("status").stdout
            assert "queued for account support" in host.run("doctor").stdout
            host.run("stop")
        host.configure({"support": {}, "sales": {}})
        assert host.status()["removed"] == []


def pid_of(host: Host, part: str) -> int:
    whole = host.status()
    facts = whole if part == "dispatcher" else whole["accounts"][0]
    pid: int = facts[part]["pid"]
    return pid


def test_restarts_are_counted_over_the_deaths_of_bridge_worker_and_dispatcher() -> None:
    with running(("support",)) as host:
        host.up()
        for part in ("bridge", "endpoint", "bridge", "dispatcher"):
            host.ready()
            pid = pid_of(host, part)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid, part=part: pid_of(host, part) not in (None, pid))
        host.ready()
        account = host.account("support")
        assert (account["endpoint"]["restarts"], account["bridge"]["restarts"]) == (1, 2)
        assert host.status()["dispatcher"]["restarts"] == 1
        assert "restarted 1x" in host.run("status").stdout


def test_an_agent_that_is_away_is_told_beside_the_accounts_that_need_it_and_no_others() -> None:
    with running(("support", "sales", "third")) as host, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{nobody.getsockname()[1]}"
        away = {"agent": {"kind": "openclaw", "url": url, "token": "the-token"}}
        host.configure({"support": {}, "sales": away, "third": away})
        host.up()
        host.ready("support")
        why = f"the Gateway {url}: it cannot be reached: Connection refused"
        for name in ("sales", "third"):
            wait_for(lambda name=name: why in host.account(name)["reason"])
            account = host.account(name)
            assert account["state"] == "degraded"
            assert account["reason"] == f"{why}: wakes are accepted, none is run"
        shown = host.run("status")
        assert shown.returncode == exit_codes.NOT_READY
        assert shown.stdout.count(url) == 2 and "the-token" not in shown.stdout
        assert host.account("support")["state"] == "ready"
        # A wake is taken all the same, and kept.
        host.raft.workspace.post("sales", "hello")
        wait_for(lambda: host.account("sales")["turns"]["queued"] == 1)
        host.configure({"support": {}, "sales": {}, "third": {}})
        assert host.run("reload").returncode == exit_codes.OK
        host.answered("hello")
        host.ready()


def test_a_part_that_a_signal_stopped_is_named_with_what_lets_it_go_on() -> None:
    with running(("support", "sales")) as host:
        host.up()
        host.ready()
        now = host.status()
        parent, dispatcher = now["supervisor"]["pid"], now["dispatcher"]["pid"]
        worker = host.account("support")["endpoint"]["pid"]
        # The parent first: it would restart what is silent.
        stopped = (parent, dispatcher, worker)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            wait_for(lambda: all(map(liveness.stopped, stopped)))
            shown = host.run("status").stdout
            refused = host.run("turn", "run", "support").stderr
            assert "`raftsup status` tells why" in refused
            assert [f"`kill -CONT {pid}`" in shown for pid in stopped] == [True] * 3, shown
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        host.ready()


def test_with_a_parent_that_is_stopped_nothing_is_green_though_each_account_is() -> None:
    with running(("support",)) as host:
        host.up()
        host.ready()
        parent = host.status()["supervisor"]["pid"]
        os.kill(parent, signal.SIGSTOP)
        try:
            wait_for(lambda: liveness.stopped(parent))
            for command in ("health", "status"):
                shown = host.run(command)
                assert shown.returncode == exit_codes.NOT_READY
                assert f"`kill -CONT {parent}`" in shown.stdout
            for words in (("reload",), ("ctl", "status"), ("stop",)):
                shown = host.run(*words)
                assert shown.returncode == exit_codes.FAILED
                assert f"`kill -CONT {parent}`" in shown.stderr
        finally:
            os.kill(parent, signal.SIGCONT)
        wait_for(lambda: not liveness.lives(parent), what="the stop that it was told")


def test_files_of_the_state_folder_that_are_spoilt_cost_what_they_tell_and_no_more() -> None:
    with running(("support", "sales")) as host:
        host.up()
        host.ready()
        key, told = host.state.probe_key("support"), host.state.report("support")
        key.write_bytes(b"\xff\n")
        shown = host.run("status", "--probe").stdout
        assert "FAIL wake" in shown and "(it was spoilt)" in shown
        (host.state.root / "roster.json").write_text("[1, 2]")
        host.state.supervisord_conf.write_text("no section")
        told.write_text('{"pid": 1, "bridge": []}')
        (host.state.reports / "third.lock").mkdir()
        host.configure({"support": {}, "sales": {}, "third": {}})
        found = {a["account"]: a for a in host.status()["accounts"]}
        assert host.status()["supervisor"]["state"] == "starting"
        assert "cannot be read" in host.status()["supervisor"]["reason"]
        assert "tells nothing of itself" in found["support"]["reason"]
        assert found["sales"]["state"] == "ready" and found["third"]["state"] == "down"


def test_a_ledger_or_a_folder_that_cannot_be_read_is_told_as_that(tmp_path: Path) -> None:
    with running(("support",)) as host:
        host.state.ledger.mkdir(parents=True)
        assert host.status()["ledger"]["reason"] == ""
        (host.state.ledger / "data.mdb").write_text("no ledger")
        assert "not an LMDB file" in host.status()["ledger"]["reason"]
        (tmp_path / "file").touch()
        done = host.run("status", "--state-dir", str(tmp_path / "file"))
        assert done.returncode == exit_codes.STATE_DIR and "Not a directory" in done.stderr


def test_a_parent_that_takes_a_question_and_gives_no_answer_is_not_waited_for(
    tmp_path: Path,
) -> None:
    state = StateDir(tmp_path)
    supervisord_conf.write(state, 1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(state.supervisor_socket))
        silent.listen()
        with pytest.raises(rpc.ParentSilent, match="gives no answer"):
            rpc.call(state, "getState", patience=0.05)


def test_a_wake_whose_turn_failed_is_not_green_until_somebody_has_dealt_with_it() -> None:
    with running(("support",)) as host:
        may = host.root / "may"
        shell = (
            f"{shlex.join([*RAFT, '--profile', 'support'])} message check; test -e {may} || exit 3"
        )
        agent = {"kind": "command", "command": ["sh", "-c", shell]}
        host.configure({"support": {"agent": agent}}, turns={"attempts": 1, "pause": "1ms"})
        host.up()
        host.ready()
        for count in (1, 2):
            host.raft.workspace.post("support", "hello")
            wait_for(lambda n=count: len(host.account("support")["turns"]["unanswered"]) == n)
        first, second = host.account("support")["turns"]["unanswered"]
        account = host.account("support")
        assert account["state"] == "degraded"
        assert account["reason"].startswith("2 turns failed (the agent exited with 3)")
        assert "`raftsup turn dismiss --failed support`" in account["reason"]
        assert host.run("status").returncode == exit_codes.NOT_READY
        health = host.run("health")
        assert health.returncode == exit_codes.NOT_READY
        assert "support is degraded: 2 turns failed" in health.stdout
        may.touch()
        # That a later turn is done says nothing of those.
        assert host.run("turn", "run", "support").returncode == exit_codes.OK
        assert host.account("support")["state"] == "degraded"
        doctor = host.run("doctor")
        assert doctor.returncode == exit_codes.UNWELL
        assert f"2 turns (of late {first}, {second}) failed" in " ".join(doctor.stdout.split())
        listed = host.run("turn", "list", "--failed", "support", "--json").stdout
        assert [turn["turn"] for turn in json.loads(listed)] == [second, first]
        assert host.run("turn", "retry", str(first)).returncode == exit_codes.OK
        wait_for(lambda: host.account("support")["turns"]["unanswered"] == [second])
        assert f"`raftsup turn retry {second}` runs it again" in host.account("support")["reason"]
        done = host.run("turn", "dismiss", "--failed", "support")
        assert done.returncode == exit_codes.OK
        assert done.stdout == (
            f"turn {second} is dismissed; `raftsup turn retry {second}` takes that back\n"
        )
        host.ready()
        assert host.run("health").returncode == exit_codes.OK


def test_a_program_that_is_away_costs_no_attempt_and_the_lane_goes_on_when_it_is_back() -> None:
    with running(("support",)) as host:
        program = host.root / "agent"
        agent = {"kind": "command", "command": [str(program)]}
        host.configure({"support": {"agent": agent}}, turns={"attempts": 1})
        host.up()
        wait_for(lambda: "there is no program" in host.account("support")["reason"])
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: host.account("support")["turns"]["queued"] == 1)
        assert host.account("support")["state"] == "degraded"
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
        wait_for(lambda: host.account("support")["turns"]["done"] == 1)
        host.ready()


def test_a_failed_turn_whose_wake_comes_again_needs_no_word_from_anybody() -> None:
    with running(("support",)) as host:
        may = host.root / "may"
        agent = {"kind": "command", "command": ["test", "-e", str(may)]}  # it reads nothing
        host.configure({"support": {"agent": agent}}, turns={"attempts": 1, "pause": "1ms"})
        host.up()
        host.ready()
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: host.account("support")["turns"]["unanswered"])
        may.touch()
        os.kill(host.account("support")["bridge"]["pid"], signal.SIGKILL)  # its next start asks
        wait_for(lambda: host.account("support")["turns"]["done"])
        host.ready()
        listed = json.loads(host.run("turn", "list", "--json").stdout)
        gone = [turn for turn in listed if turn["state"] == "cancelled"]
        assert gone and all(
            "its wake came again and is queued as turn" in t["reason"] for t in gone
        )


def test_a_full_ledger_is_not_green_and_drains_by_itself() -> None:
    with running(("support",)) as host:
        agent = {"kind": "command", "command": ["true"]}
        host.configure({"support": {"agent": agent}}, ledger={"mapSize": "1MiB"})
        host.up()
        host.ready()
        host.run("pause")
        with (
            closing(open_ledger(host.state.ledger, 1 << 20)) as ledger,
            pytest.raises(LedgerUnavailable),
        ):
            while True:
                wake = Wake(os.urandom(16).hex(), os.urandom(16).hex())
                ledger.accept("support", wake, now=time.time(), limits=Dedupe(), coalesce=False)
        assert "the ledger is full" in host.account("support")["reason"]
        assert host.run("health").returncode == exit_codes.NOT_READY
        probe = host.run("status", "--probe")
        assert probe.returncode == exit_codes.NOT_READY and "FAIL wake" in probe.stdout
        doctor = host.run("doctor")
        assert doctor.returncode == exit_codes.UNWELL and "are refused" in doctor.stdout
        assert host.run("resume").returncode == exit_codes.OK
        wait_for(lambda: host.account("support")["state"] == "ready", 60.0)
        assert host.run("stop").returncode == exit_codes.OK
