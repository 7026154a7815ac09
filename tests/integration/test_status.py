"""What ``status`` knows without the config file, and what it says of a lane that runs nothing."""

from __future__ import annotations

import socket

from raftsup import exits
from raftsup.dispatcher.client import request
from tests.integration.host import AGENT, running, wait_for


def test_the_status_of_a_running_host_needs_neither_its_file_nor_its_secrets() -> None:
    with running(("support", "sales")) as host:
        secret = {**AGENT, "env": {**AGENT["env"], "KEY": "${ONLY_THE_HOST_HAS_THIS}"}}
        host.configure({"support": {"agent": secret}, "sales": {"enabled": False}})
        host.up(ONLY_THE_HOST_HAS_THIS="x")
        wait_for(lambda: host.run("status").returncode == exits.OK)
        host.config_path.write_text("{ half an ed")
        shown = host.run("status")
        assert shown.returncode == exits.OK, shown.stderr
        assert "support" in shown.stdout and "disabled" in shown.stdout
        assert b"${ONLY" not in (host.state.root / "roster.json").read_bytes()
        assert host.run("stop").returncode == exits.OK
        assert host.run("status").returncode == exits.CONFIG


def test_a_paused_lane_is_seen_and_named() -> None:
    with running(("support", "sales")) as host:
        host.up()
        host.ready()
        request(host.state.dispatcher_socket, "pause", lane="support")
        assert "lane support is paused" in host.account("support")["reason"]
        assert host.account("sales")["state"] == "ready"
        assert host.run("status").returncode == exits.NOT_READY
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
        assert host.run("reload").returncode == exits.OK
        wait_for(lambda: "1 turns are owed and held" in host.account("support")["reason"])


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
        assert shown.returncode == exits.NOT_READY
        assert shown.stdout.count(url) == 2 and "the-token" not in shown.stdout
        assert host.account("support")["state"] == "ready"
        # A wake is taken all the same, and kept.
        host.raft.workspace.post("sales", "hello")
        wait_for(lambda: host.account("sales")["turns"]["queued"] == 1)
        host.configure({"support": {}, "sales": {}, "third": {}})
        assert host.run("reload").returncode == exits.OK
        host.answered("hello")
        host.ready()
