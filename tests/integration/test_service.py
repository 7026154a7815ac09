"""The host as a service: installed, started, stopped and restarted through its manager.

``systemctl`` is a script that notes what it was asked and does it as systemd would.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from raftsup import exit_codes
from raftsup.ops import lifecycle
from raftsup.ops.service import detect, systemd
from raftsup.proc import lockfile
from tests.integration.host import RAFTSUP, Host, running, wait_for

SYSTEMCTL = f"""#!/bin/sh
echo "$*" >> "$FAKE/calls"
[ ! -e "$FAKE/away" ] || {{ echo "Failed to connect to bus: No medium found" >&2; exit 1; }}
[ "$1" = --user ] && shift
start() {{
    "{sys.executable}" -m raftsup up -d > /dev/null || exit 1
    cp "$RAFTSUP_STATE_DIR/raftsup.lock" "$FAKE/pid"
}}
stop() {{ [ ! -e "$FAKE/pid" ] || {{ kill -TERM $(cat "$FAKE/pid"); rm "$FAKE/pid"; }} }}
case $1 in
show) echo "MainPID=$(cat "$FAKE/pid" 2> /dev/null || echo 0)"; echo ActiveState=active ;;
start) start ;;
stop) stop ;;
restart) stop; flock -w 20 "$RAFTSUP_STATE_DIR/raftsup.lock" true || exit 1; start ;;
esac
"""


@dataclass
class Service:
    host: Host

    @property
    def fake(self) -> Path:
        return self.host.root / "fake"

    @property
    def unit(self) -> Path:
        return self.host.root / "config" / "systemd" / "user" / "raftsup.service"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.host.run(
            *words,
            HOME=str(self.host.root),
            XDG_CONFIG_HOME=str(self.host.root / "config"),
            PATH=f"{self.fake}:{os.environ['PATH']}",
            FAKE=str(self.fake),
        )

    def calls(self) -> list[str]:
        """What systemctl was asked since the last look."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.fake / "calls").read_text().splitlines()
            (self.fake / "calls").unlink()
            return lines
        return []


@pytest.fixture
def service() -> Iterator[Service]:
    if detect.manager_here() is not detect.Manager.SYSTEMD:
        pytest.skip("not a systemd platform")
    with running(("support",)) as host:
        one = Service(host)
        one.fake.mkdir()
        (one.fake / "systemctl").write_text(SYSTEMCTL)
        (one.fake / "systemctl").chmod(0o755)
        yield one


def test_a_dry_run_shows_the_unit_and_changes_nothing(service: Service) -> None:
    shown = service.run("install", "--dry-run")
    assert shown.returncode == exit_codes.OK, shown.stderr
    assert f"RAFTSUP_STATE_DIR={service.host.state.root}" in shown.stdout
    assert not service.unit.exists()
    assert service.calls() == []


def test_an_installed_service_is_started_restarted_and_stopped_by_its_manager_alone(
    service: Service,
) -> None:
    installed = service.run("install")
    assert installed.returncode == exit_codes.OK, installed.stderr
    assert "next: raftsup start" in installed.stdout
    assert service.calls() == ["--user daemon-reload", "--user enable raftsup.service"]
    secrets = service.host.config_path.with_name("raftsup.env")
    assert secrets.stat().st_mode & 0o777 == 0o600

    started = service.run("start")
    assert started.returncode == exit_codes.OK, started.stderr
    assert "1 of 1 account ready" in started.stdout
    assert service.calls() == ["--user start raftsup.service"]
    first = service.host.parent()
    assert f"pid {first}" in service.run("start").stdout, "a second start says that it runs"
    assert service.calls() == []

    restarted = service.run("restart")
    assert restarted.returncode == exit_codes.OK, restarted.stderr
    assert "--user restart raftsup.service" in service.calls()
    second = service.host.parent()
    assert second != first
    service.host.watch()

    stopped = service.run("stop")
    assert (stopped.returncode, stopped.stdout) == (
        exit_codes.OK,
        f"raftsup stopped (pid {second})\n",
    )
    assert "--user stop --no-block raftsup.service" in service.calls()
    service.host.gone()
    # The manager may be about to start one again, so it is told also where no host runs.
    assert service.run("stop").returncode == exit_codes.NOT_RUNNING
    assert "--user stop --no-block raftsup.service" in service.calls()


def test_a_host_that_was_started_by_hand_is_stopped_before_the_service_takes_over(
    service: Service,
) -> None:
    assert service.run("up", "-d").returncode == exit_codes.OK
    by_hand = service.host.parent()
    assert service.run("install").returncode == exit_codes.OK
    restarted = service.run("restart")
    assert restarted.returncode == exit_codes.OK, restarted.stderr
    assert service.host.parent() != by_hand


def test_a_manager_that_cannot_be_reached_is_told_of_with_what_to_type(service: Service) -> None:
    (service.fake / "away").touch()
    installed = service.run("install")
    assert installed.returncode == exit_codes.FAILED
    assert "Failed to connect to bus" in installed.stderr
    assert "systemctl --user enable raftsup.service" in installed.stderr
    assert service.unit.exists()
    started = service.run("start")
    assert started.returncode == exit_codes.FAILED
    assert "systemctl --user start raftsup.service" in started.stderr
    assert "raftsup up -d" in started.stderr
    # A host that somebody started all the same can be stopped.
    assert service.run("up", "-d").returncode == exit_codes.OK
    assert service.run("stop").returncode == exit_codes.OK
    service.host.gone()
    # What `enable` would have made, and `disable` cannot remove now.
    wants = service.unit.parent / "default.target.wants"
    wants.mkdir()
    (wants / service.unit.name).symlink_to(service.unit)
    assert "daemon-reload" in service.run("uninstall").stderr
    assert not service.unit.exists()
    assert not list(wants.iterdir())


def test_a_unit_that_differs_is_shown_and_kept_without_force(service: Service) -> None:
    service.run("install")
    mine = service.unit.read_text().replace("RestartSec=5", "RestartSec=7")
    service.unit.write_text(mine)
    again = service.run("install")
    assert again.returncode == exit_codes.FAILED
    assert "-RestartSec=7\n+RestartSec=5" in again.stdout
    assert "--force" in again.stderr
    assert service.unit.read_text() == mine
    assert service.run("install", "--force").returncode == exit_codes.OK
    assert "RestartSec=5" in service.unit.read_text()
    assert "as it should be" in service.run("install").stdout


def test_uninstall_stops_the_host_and_removes_what_is_ours_and_nothing_else(
    service: Service,
) -> None:
    service.run("install")
    service.run("start")
    service.host.watch()
    secrets = service.host.config_path.with_name("raftsup.env")
    service.calls()
    removed = service.run("uninstall")
    assert removed.returncode == exit_codes.OK, removed.stderr
    service.host.gone()
    assert service.calls()[-2:] == ["--user disable --now raftsup.service", "--user daemon-reload"]
    assert not service.unit.exists()
    assert service.host.config_path.exists() and secrets.exists()
    assert service.host.state.ledger.exists()
    assert service.run("uninstall").returncode == exit_codes.OK, "there is nothing left to do"
    # A unit that somebody wrote by hand for this state folder.
    service.unit.write_text(f"[Service]\nEnvironment=RAFTSUP_STATE_DIR={service.host.state.root}\n")
    kept = service.run("uninstall")
    assert kept.returncode == exit_codes.FAILED
    assert "--force" in kept.stderr
    assert service.unit.exists()


def test_one_state_folder_gets_no_second_service_under_another_name(service: Service) -> None:
    service.run("install")
    root = str(service.host.state.root)
    second = service.run(
        "install", "--name", "b", "--state-dir", root, "--config", str(service.host.config_path)
    )
    assert second.returncode == exit_codes.FAILED
    assert "raftsup uninstall" in second.stderr
    assert [path.name for path in service.unit.parent.iterdir()] == [service.unit.name]


def test_a_named_instance_is_another_host_with_another_unit(service: Service) -> None:
    config = service.host.root / "config" / "raftsup-staging" / "raftsup.json5"
    config.parent.mkdir(parents=True)
    config.write_text(service.host.config_path.read_text())
    # The folders of the environment are the other instance's: the flag counts for more.
    assert service.run("--name", "staging", "install").returncode == exit_codes.OK
    unit = service.unit.with_name("raftsup-staging.service")
    state = systemd.variable(unit.read_text(), "RAFTSUP_STATE_DIR", "")
    assert (
        state == f"{service.host.root}/.local/state/raftsup-staging"
        or "XDG_STATE_HOME" in os.environ
    )
    assert str(config) in unit.read_text()
    assert not service.unit.exists()
    assert "--name staging start" in service.run("install", "--name", "staging").stdout
    bad = service.run("--name", "../x", "status")
    assert bad.returncode == exit_codes.USAGE


def test_without_a_service_start_and_restart_do_it_themselves(service: Service) -> None:
    started = service.run("start")
    assert started.returncode == exit_codes.OK, started.stderr
    first = service.host.parent()
    assert f"pid {first}" in started.stdout
    assert "1 of 1 account ready" in started.stdout
    restarted = service.run("restart")
    assert restarted.returncode == exit_codes.OK, restarted.stderr
    assert f"stopped (pid {first})" in restarted.stdout
    assert service.host.parent() != first
    assert service.calls() == []
    # One that cannot get ready is no success.
    service.host.configure({"support": {"agentId": "agent-else"}})
    restarted = service.run("restart")
    assert restarted.returncode == exit_codes.NOT_READY
    assert "0 of 1 account ready\n  support: " in restarted.stdout


def test_a_restart_by_hand_keeps_the_flags_and_the_folder_of_the_start(service: Service) -> None:
    host = service.host
    host.config_path.rename(host.root / "other.json5")
    flags = ("--config", "other.json5", "--set", "turns.concurrency=7")
    done = subprocess.run(
        [*RAFTSUP, "up", "-d", *flags], cwd=host.root, env=host.environ(), capture_output=True,
        stdin=subprocess.DEVNULL, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == exit_codes.OK, done.stderr
    first = host.parent()
    restarted = service.run("restart")
    assert restarted.returncode == exit_codes.OK, restarted.stderr
    second = host.parent()
    assert second is not None and second != first
    assert " ".join(flags) in " ".join(psutil.Process(second).cmdline())
    (host.root / "other.json5").write_text("{")
    refused = service.run("restart")
    assert refused.returncode == exit_codes.CONFIG
    assert "nothing was stopped" in refused.stderr and "other.json5" in refused.stderr
    assert host.parent() == second


def test_a_host_that_ends_while_its_start_is_awaited_is_no_success(service: Service) -> None:
    assert lifecycle.settled(service.host.state, lambda text: None, 0.0) is None


def test_systemd_hears_ready_when_wakes_get_in_then_signs_of_life_then_the_stop(
    service: Service,
) -> None:
    host = service.host
    host.configure({"support": {}, "broken": {"command": ["no-such-raft"]}})
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(host.root / "notify"))
        ear.settimeout(20)

        def until(word: str, times: int = 1) -> None:
            while sum(line.startswith(word) for line in heard) < times:
                heard.extend(ear.recv(4096).decode().splitlines())

        up = host.up(NOTIFY_SOCKET=str(host.root / "notify"), WATCHDOG_USEC="1000000")
        until("READY=1")
        assert {a["endpoint"]["url"] is not None for a in host.status()["accounts"]} == {True}
        assert any("not" in line for line in heard if line.startswith("STATUS=")), "before"
        until("STATUS=all 3 programs are up")
        until("WATCHDOG=1", times=4)
        host.watch()
        up.send_signal(signal.SIGTERM)
        until("STOPPING=1")
        assert up.wait(20) == exit_codes.OK


def test_a_throwaway_host_is_found_by_its_flag_answers_and_leaves_nothing(
    service: Service,
) -> None:
    runtime = service.host.root / "r"
    runtime.mkdir(mode=0o700)
    folder = runtime / "raftsup-dev"
    with contextlib.ExitStack() as stack:
        for how in (signal.SIGKILL, signal.SIGTERM):
            dev = service.host.up("--dev", XDG_RUNTIME_DIR=str(runtime))
            log = service.host.root / f"{len(service.host.started) - 1}.log"
            stack.callback(dev.kill)
            wait_for(
                lambda: (
                    service.host.run("--dev", "status", XDG_RUNTIME_DIR=str(runtime)).returncode
                    == exit_codes.OK
                ),
                what="a ready throwaway host",
            )
            service.host.watch()
            assert folder.stat().st_mode & 0o777 == 0o700
            second = service.host.run("up", "--dev", XDG_RUNTIME_DIR=str(runtime))
            assert second.returncode == exit_codes.ALREADY_RUNNING
            if how is signal.SIGTERM:
                say = next(line for line in log.read_text().splitlines() if "sim send" in line)
                assert (
                    service.host.run(*say.replace('"', "").split()[1:]).returncode == exit_codes.OK
                )
                wait_for(lambda: _answered(service.host, runtime), what="the answer")
            dev.send_signal(how)
            dev.wait(20)
            service.host.gone()
    assert dev.returncode == exit_codes.OK
    assert not folder.exists()
    assert lockfile.holder(service.host.state.lock) is None, "the other instance was not touched"


def _answered(host: Host, runtime: Path) -> bool:
    turns = host.run("--dev", "turn", "list", "support", XDG_RUNTIME_DIR=str(runtime))
    return "done" in turns.stdout


def test_a_throwaway_host_uses_no_folder_that_is_open_to_others(service: Service) -> None:
    runtime = service.host.root / "r"
    (runtime / "raftsup-dev").mkdir(parents=True)
    (runtime / "raftsup-dev").chmod(0o777)
    (runtime / "raftsup-dev" / "precious").write_text("")
    up = service.host.run("up", "--dev", XDG_RUNTIME_DIR=str(runtime))
    assert up.returncode == exit_codes.STATE_DIR
    assert (runtime / "raftsup-dev" / "precious").exists()
    assert service.host.run("up", "--dev", "-d").returncode == exit_codes.USAGE
