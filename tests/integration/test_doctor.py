"""``raftsup doctor``: each failure that the runbook and the channel page name is provoked, told,
and fixed by following what was told.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftsup import exit_codes
from raftsup.ledger import open_ledger
from tests.integration.host import AGENT, RAFT, Host, running, wait_for

Found = dict[str, Any]


def doctor(host: Host, *words: str, **env: str) -> tuple[int, list[Found]]:
    """The exit code, and what is not good."""
    done = host.run("doctor", "--json", *words, **env)
    assert not done.stderr, done.stderr
    found = json.loads(done.stdout)["findings"]
    for finding in found:
        typed(finding["fix"])
    return done.returncode, [f for f in found if f["severity"] != "good"]


def typed(fix: str) -> None:
    """A fix is a command line and nothing else: it is pasted."""
    words = shlex.split(fix)
    assert not fix or shutil.which(words[0]) or words[0] in ("raftsup", "sudo", "npm", "export"), (
        fix
    )
    assert "`" not in fix and ", " not in fix, fix


def only(host: Host, check: str, **env: str) -> Found:
    """The one thing that is wrong, but for a host that does not run."""
    code, found = doctor(host, **env)
    (one,) = [f for f in found if (f["check"], f["severity"]) != ("host", "warning")]
    assert one["check"] == check, one
    assert one["why"] and (one["fix"] or one["advice"]), one
    assert code == (exit_codes.UNWELL if one["severity"] == "fail" else exit_codes.OK)
    return dict(one)


def well(host: Host, **env: str) -> None:
    code, found = doctor(host, **env)
    assert code == exit_codes.OK
    assert [f for f in found if f["check"] != "host"] == []


def obey(fix: str, host: Host, **env: str) -> None:
    """Type what is to be typed, in a shell that has `raftsup`."""
    typed = f'raftsup() {{ {shlex.join([sys.executable, "-m", "raftsup"])} "$@"; }}\n{fix}'
    subprocess.run(["bash", "-c", typed], check=True, stdin=subprocess.DEVNULL, timeout=60,
                   stdout=subprocess.DEVNULL, env={**host.environ(), **env})  # fmt: skip


@contextlib.contextmanager
def one() -> Iterator[Host]:
    with running(("support",)) as host:
        yield host


def test_a_host_that_is_well_is_told_so_and_before_its_first_start_nothing_is_made() -> None:
    with one() as host:
        code, found = doctor(host)
        assert code == exit_codes.OK
        assert [f["fix"] for f in found] == ["raftsup up -d"]
        assert not host.state.root.exists()
        host.up()
        host.ready()
        host.raft.workspace.post("support", "hello")
        host.answered("hello")
        shown = host.run("doctor")
        assert shown.returncode == exit_codes.OK
        assert shown.stdout.endswith("\nall is well\n"), shown.stdout
        assert "\x1b" not in shown.stdout and "hello" not in shown.stdout
        host.ready()


def test_a_cli_that_is_not_on_the_hosts_path_is_told_and_is_found_once_it_is_installed() -> None:
    with one() as host:
        bare, full = host.root / "bare", host.root / "full"
        bare.mkdir()
        full.mkdir()
        with_cli = f"{full}{os.pathsep}{os.environ['PATH']}"
        host.configure({"support": {"agent": {**AGENT, "env": {"RAFT_SIM_CLI": "raft"}}}})
        tree = json.loads(host.config_path.read_text())
        tree["channels"]["raft"]["command"] = ["raft-of-test"]
        host.config_path.write_text(json.dumps(tree))
        host.up(PATH=str(bare))
        wait_for(lambda: "cannot be started" in host.account("support")["reason"])
        code, found = doctor(host, PATH=str(bare))
        assert code == exit_codes.UNWELL
        raft = next(f for f in found if f["check"] == "raft")
        assert "no Raft CLI 'raft-of-test' on this shell's PATH" in raft["what"]
        assert raft["fix"] == "npm i -g @botiverse/raft" and "restart the host" in raft["advice"]
        cli = full / "raft-of-test"
        cli.write_text(f'#!/bin/sh\nexec {shlex.join(RAFT)} "$@"\n')
        cli.chmod(0o755)
        # It is installed, but not where the host looks.
        code, found = doctor(host, PATH=with_cli)
        assert code == exit_codes.UNWELL
        account = next(f for f in found if f["check"] == "host")
        assert account["fix"] == "raftsup restart" and "in a shell in which" in account["advice"]
        assert host.run("stop").returncode == exit_codes.OK
        host.up(PATH=with_cli)
        host.ready()
        well(host, PATH=str(bare))  # it is the host's PATH that counts


def test_a_profile_that_is_not_signed_in_and_one_of_another_agent_are_told_and_fixed() -> None:
    with running(("support", "sales")) as host:
        file = host.profiles / "support" / "credential.json"
        signed_in = file.read_bytes()
        file.unlink()
        host.configure({"support": {}, "sales": {"agentId": "agent-else"}})
        code, (support, sales, *_) = doctor(host)
        assert code == exit_codes.UNWELL
        assert "PROFILE_FILE_UNREADABLE" in support["what"] and "support" in support["what"]
        assert support["fix"].endswith(" --agent agent-support --profile-slug support")
        assert "agentId is agent-else" in sales["what"] and "agent-sales" in sales["what"]
        assert f'write agentId: "agent-sales" for sales in {host.config_path}' in sales["advice"]
        file.write_bytes(signed_in)  # as `agent login` would
        file.chmod(0o600)
        host.up()
        host.ready("support")
        wait_for(lambda: "BRIDGE_IDENTITY_MISMATCH" in host.account("sales")["reason"])
        _, found = doctor(host)
        obey(next(f for f in found if f["check"] == "profiles")["fix"], host)
        host.ready()
        assert doctor(host) == (exit_codes.OK, [])


def test_a_credential_that_raft_refuses_is_told_though_no_bridge_has_tried_it() -> None:
    with one() as host:
        well(host)
        host.raft.workspace.renew_token("support")
        found = only(host, "profiles")
        assert "Raft refuses the credential of profile support: it was revoked" in found["what"]
        assert found["severity"] == "fail"
        assert found["fix"].endswith(" --agent agent-support --profile-slug support")
        words = ("--profile", "support", "--yes", "--no-check")
        done = host.run("setup", *words)
        assert done.returncode == exit_codes.FAILED and "sign in again: `" in done.stderr
        done = host.run("setup", *words, "--agent-id", "agent-support")
        assert "Not confirmed: Raft refuses the credential of profile support" in done.stdout


def test_a_credential_that_others_may_read_is_told_and_closed() -> None:
    with one() as host:
        credential = host.profiles / "support" / "credential.json"
        credential.chmod(0o644)
        found = only(host, "credentials")
        assert f"account support: {credential} is open to others (mode 0644)" in found["what"]
        obey(found["fix"], host)
        well(host)
        credential.chmod(0o640)
        assert f"fixed: {credential}: closed to others" in host.run("doctor", "--fix").stdout
        assert stat.S_IMODE(credential.stat().st_mode) == 0o600


def test_a_stale_lock_is_told_and_removed_and_one_of_a_living_bridge_is_kept() -> None:
    with one() as host:
        lock = host.profiles / "support/agent-comms-core/agent-support/default/bridge.lock"
        lock.parent.mkdir(parents=True)
        lock.write_text(json.dumps({"pid": os.getpid(), "createdAt": "2026-01-01T00:00:00Z"}))
        found = only(host, "bridge locks")
        assert "is another program by now" in found["what"]
        assert found["fix"] == "raftsup doctor --fix"
        fixed = host.run("doctor", "--fix")
        assert f"fixed: {lock}: removed" in fixed.stdout
        assert not lock.exists()
        host.up()
        host.ready()
        assert "nothing to fix" in host.run("doctor", "--fix").stdout
        assert lock.exists()


def test_a_second_bridge_of_a_profile_is_told_with_its_pid() -> None:
    with one() as host, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/wake"
        host.start(
            "--profile", "support", "agent", "bridge", "--wake-adapter", "wake-channel",
            "--wake-channel-endpoint", url, argv=RAFT, RAFT_CHANNEL_TOKEN="t" * 32,
            RAFT_EXPECTED_AGENT_ID="agent-support",
        )  # fmt: skip
        other = host.started[-1]
        lock = host.profiles / "support/agent-comms-core/agent-support/default/bridge.lock"
        wait_for(lambda: lock.exists() and lock.read_text())
        found = only(host, "other bridges")
        assert f"pid {other.pid}" in found["what"]
        assert host.run("doctor", "--fix").returncode == exit_codes.UNWELL
        assert other.poll() is None  # never touched by --fix
        obey(found["fix"], host)
        other.wait(10)
        well(host)


def test_of_an_agent_that_never_calls_the_cli_is_told_what_can_be_seen_and_what_not() -> None:
    with one() as host:
        host.configure({"support": {"agent": {"kind": "command", "command": ["true"]}}})
        host.up()
        host.ready()
        host.raft.workspace.post("support", "hello")
        # Raft wakes again for what was not read: a look may find the next turn running.
        told = "whether its agent sent a reply, only Raft knows"
        wait_for(lambda: told in " ".join(host.run("doctor").stdout.split()))
        agent = {"kind": "command", "command": ["/bin/true"], "env": {"PATH": "/nowhere"}}
        host.configure({"support": {"agent": agent}})
        tree = json.loads(host.config_path.read_text())
        python = Path(sys.executable)
        tree["channels"]["raft"]["command"] = [python.name, *RAFT[1:]]
        host.config_path.write_text(json.dumps(tree))
        found = only(host, "agents' reach", PATH=f"{python.parent}:{os.environ['PATH']}")
        assert "cannot find" in found["what"] and "take PATH out" in found["advice"]


def test_what_is_open_to_others_is_told_and_closed_and_the_host_goes_on() -> None:
    with one() as host:
        host.up()
        host.ready()
        parent = host.parent()
        host.state.root.chmod(0o755)
        host.state.supervisord_conf.chmod(0o644)
        theirs = host.state.root / "thesis"
        theirs.mkdir(mode=0o755)
        found = only(host, "state folder")
        assert str(host.state.root) in found["what"] and found["severity"] == "fail"
        fixed = host.run("doctor", "--fix")
        assert fixed.returncode == exit_codes.OK and "closed to others: " in fixed.stdout
        assert stat.S_IMODE(host.state.root.stat().st_mode) == 0o700
        assert stat.S_IMODE(host.state.supervisord_conf.stat().st_mode) == 0o600
        assert stat.S_IMODE(theirs.stat().st_mode) == 0o755  # not of raftsup's making
        host.state.root.chmod(0o755)
        obey(only(host, "state folder")["fix"], host)
        assert doctor(host) == (exit_codes.OK, [])
        assert host.parent() == parent


def test_a_path_too_long_for_sockets_a_foreign_folder_and_a_broken_config_are_told() -> None:
    with one() as host:
        long = str(host.root / ("x" * 90))
        assert "export RAFTSUP_STATE_DIR=" in only(host, "state folder", RAFTSUP_STATE_DIR=long)[
            "fix"
        ]  # fmt: skip
        foreign = host.root / "foreign"
        foreign.mkdir(mode=0o755)
        (foreign / "thesis.txt").touch()
        found = only(host, "state folder", RAFTSUP_STATE_DIR=str(foreign))
        assert "holds other things" in found["what"] and not found["fixable"]
        good = host.config_path.read_text()
        host.config_path.write_text(good[:-2])
        found = only(host, "config")
        assert (
            f"{host.config_path}:" in found["what"]
            and "close what is still open" in found["advice"]
        )
        agent = {**AGENT, "env": {**AGENT["env"], "KEY": "${KEY_OF_TEST}"}}
        host.configure({"support": {"agent": agent}})
        _, found_all = doctor(host)
        assert found_all[0]["fix"].endswith("export KEY_OF_TEST")
        well(host, KEY_OF_TEST="x")
        host.config_path.write_text(good)
        host.config_path.chmod(0o666)
        assert "changed by anybody" in only(host, "secrets")["what"]
        assert host.run("doctor", "--fix").returncode == exit_codes.OK
        well(host)


def test_what_a_killed_host_left_is_told_and_cleared_and_its_processes_are_named() -> None:
    with one() as host:
        host.state.prepare()
        host.state.lock.touch(mode=0o600)
        left = host.state.dispatcher_socket, host.state.root / ".roster.json.x.new"
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(left[0]))
        left[1].touch(mode=0o600)
        theirs = host.state.root / "thesis.new"
        theirs.touch(mode=0o644)
        left[0].chmod(0o600)
        found = only(host, "leftovers")
        assert all(path.name in found["what"] for path in left)
        marks = {"RAFTSUP_STATE_DIR": str(host.state.root), "RAFTSUP_TURN": "3"}
        host.start("60", argv=["sleep"], **marks)
        stray = host.started[-1]
        obey("raftsup doctor --fix", host)
        assert not any(path.exists() for path in left)
        assert theirs.exists()
        found = only(host, "strays")
        assert f"pid {stray.pid}" in found["what"] and "turn 3" in found["what"]
        obey(found["fix"], host)
        stray.wait(10)
        well(host)


@pytest.mark.parametrize("how", ["garbage", "cut short"])
def test_a_broken_ledger_is_told_by_all_without_a_fault_and_put_aside(how: str) -> None:
    with one() as host:
        host.state.prepare()
        file = host.state.ledger / "data.mdb"
        open_ledger(host.state.ledger).close()
        # Cut short: to read what is missing of its map kills the process that reads it.
        file.write_bytes(file.read_bytes()[:5000] if how == "cut short" else b"x" * 8192)
        found = only(host, "ledger")
        assert found["severity"] == "fail" and str(host.state.ledger) in found["what"]
        for command in (["health"], ["inspect", "support"]):
            told = host.run(*command)
            assert told.returncode in (exit_codes.OK, exit_codes.NOT_RUNNING) and not told.stderr
        obey(found["fix"], host)
        assert (host.state.root / "ledger.old" / "data.mdb").exists()
        well(host)


def test_where_the_folder_is_none_of_ours_nothing_else_is_told() -> None:
    with one() as host:
        host.state.root.touch()  # also root cannot look into that
        code, (found,) = doctor(host)
        assert (code, found["check"]) == (exit_codes.UNWELL, "state folder")
        health = host.run("health")
        assert health.returncode == exit_codes.STATE_DIR and health.stdout.startswith("unknown: ")
        obey(found["fix"], host)
        well(host)
        if os.getuid() == 0:
            host.state.prepare()
            os.chown(host.state.root, 65534, -1)
            _, (found,) = doctor(host)
            assert found["fix"].startswith("sudo -u ")


@pytest.mark.skipif(sys.platform != "linux", reason="units of systemd")
def test_a_service_that_differs_from_the_config_is_told_and_installed_anew() -> None:
    with one() as host:
        home = host.root / "home"
        home.mkdir()
        env = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
        host.run("install", **env)  # without a manager to tell, the unit is written all the same
        _, found = doctor(host, **env)
        assert [f for f in found if "differs" in f["what"]] == []
        host.configure({"support": {}}, turns={"drain": "10m"})
        _, found = doctor(host, **env)
        (differs,) = [f for f in found if "differs" in f["what"]]
        assert differs["fix"] == "raftsup install --force && raftsup restart"
        host.run("install", "--force", **env)
        _, found = doctor(host, **env)
        assert [f for f in found if "differs" in f["what"]] == []
