"""Signals that a fork must treat otherwise than its parent, and otherwise than a program."""

from __future__ import annotations

import os
import signal
import socket
import time

import psutil

from tests.integration.host import Host, running, wait_for


def pids(host: Host) -> dict[str, int]:
    infos = {a["account"]: a["endpoint"]["pid"] for a in host.status()["accounts"]}
    return {**infos, "dispatcher": host.status()["dispatcher"]["pid"]}


def test_a_worker_outlives_the_dispatcher_that_it_rang_before() -> None:
    with running(("support",)) as host:
        host.up()
        host.ready()
        host.raft.workspace.post("support", "one")
        host.answered("one")
        before = pids(host)
        os.kill(before["dispatcher"], signal.SIGKILL)
        wait_for(lambda: pids(host)["dispatcher"] not in (None, before["dispatcher"]))
        # The worker's doorbell still holds the dead dispatcher's socket.
        for text in ("two", "three"):
            host.raft.workspace.post("support", text)
            host.answered(text)
        assert pids(host)["support"] == before["support"]


def test_a_client_that_hangs_up_unanswered_does_not_end_the_dispatcher() -> None:
    with running(("support",)) as host:
        host.up()
        host.ready()
        before = pids(host)
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(host.state.dispatcher_socket))
                client.sendall(b'{"verb":"status"}\n' * 50)
        with socket.socket(socket.AF_UNIX) as subscriber:
            subscriber.connect(str(host.state.dispatcher_socket))
            subscriber.sendall(b'{"verb":"subscribe"}\n')
            subscriber.recv(64)
        host.raft.workspace.post("support", "still there?")
        host.answered("still there?")
        assert pids(host) == before


def test_a_stop_in_the_moment_of_a_fork_is_not_swallowed() -> None:
    for delay in (0.0, 0.002, 0.005, 0.01):
        with running(("support", "sales")) as host:
            parent = host.up()
            pid = parent.pid
            # The forks come right after supervisord has said that it starts.
            wait_for(lambda pid=pid: psutil.Process(pid).children() or "spawned" in host.said())
            time.sleep(delay)  # not a wait: the moment of the stop within the forks
            begun = time.monotonic()
            parent.send_signal(signal.SIGTERM)
            parent.wait(30)
            assert "SIGKILL" not in host.said(), f"a child swallowed SIGTERM ({delay} s)"
            assert time.monotonic() - begun < 9, "a child was waited for until its budget ended"
            host.gone()


def test_a_bridge_ended_by_a_signal_without_a_name_is_restarted() -> None:
    with running(("support",)) as host:
        host.up()
        bridge = host.ready()["support"]["bridge"]["pid"]
        os.kill(bridge, 40)
        wait_for(lambda: host.account("support")["bridge"]["pid"] not in (None, bridge))
        host.ready()
        assert host.account("support")["bridge"]["lastExit"] == "killed by signal 40"


def test_a_stopped_bridge_is_told_as_that_with_what_lets_it_go_on() -> None:
    with running(("support",)) as host:
        host.up()
        bridge = host.ready()["support"]["bridge"]["pid"]
        os.kill(bridge, signal.SIGSTOP)
        wait_for(lambda: host.account("support")["state"] == "degraded")
        facts = host.account("support")
        told = f"the bridge (pid {bridge}) is stopped by a signal; `kill -CONT {bridge}` lets it go"
        assert facts["reason"].startswith(told)
        assert (facts["bridge"]["state"], facts["bridge"]["pid"]) == ("stopped", bridge)
        for command in ("status", "health", "doctor"):
            assert f"kill -CONT {bridge}" in host.run(command).stdout
        os.kill(bridge, signal.SIGCONT)
        host.ready()


def test_sighup_upon_sighup_is_a_restart_and_never_the_end_of_a_host() -> None:
    with running(("support",)) as host:
        parent = host.up()
        worker = host.ready()["support"]["endpoint"]["pid"]
        parent.send_signal(signal.SIGHUP)
        # All the way: while it stops, between two images, and until the next one hears signals.
        while host.account("support")["endpoint"]["pid"] in (None, worker):
            assert parent.poll() is None, f"it has ended with {parent.returncode}"
            parent.send_signal(signal.SIGHUP)
        host.ready()


def test_a_stop_between_two_images_of_a_restarting_host_is_heard() -> None:
    with running(("support",)) as host:
        parent = host.up()
        worker = psutil.Process(host.ready()["support"]["endpoint"]["pid"])
        # Before it starts over it gives a broken file a moment, with nobody left to run.
        host.config_path.write_text("{ half")
        parent.send_signal(signal.SIGHUP)
        worker.wait(20)
        wait_for(lambda: not psutil.Process(parent.pid).children())
        parent.send_signal(signal.SIGTERM)
        parent.wait(10)
        host.gone()
