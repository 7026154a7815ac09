"""``status --watch`` in a terminal and through a pipe, and ``status --deep``."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect
import pytest

from raftsup.ops.status.watch import ENTER, LEAVE
from tests.integration.host import RAFTSUP, Host, running, wait_for

ENTERED, LEFT = ENTER.encode(), LEAVE.encode()


@contextmanager
def watching(host: Host, **env: str) -> Iterator[pexpect.spawn]:
    """``raftsup status --watch`` in a terminal of 24 rows and 80 columns."""
    child = pexpect.spawn(
        RAFTSUP[0], [*RAFTSUP[1:], "status", "--watch", "0.2"], timeout=20, dimensions=(24, 80),
        env={**host.environ(), "TERM": "xterm", **env},
    )  # fmt: skip
    try:
        yield child
    finally:
        child.close(force=True)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_screen_is_drawn_in_place_and_the_terminal_left_as_it_was(end: signal.Signals) -> None:
    with running(("support",)) as host:
        host.configure({"support": {}, "sales": {"enabled": False}})
        with watching(host) as child:
            child.expect_exact(ENTERED)
            child.expect_exact(b"\x1b[H")
            child.expect_exact(b"\x1b[32menabled\x1b[0m")
            child.expect_exact(b"\x1b[J")
            child.expect_exact(b"\x1b[H")  # the next frame lies over the first
            assert b"\n" * 24 not in child.before
            child.sendcontrol("z")  # nobody is there to let it go on: it goes on by itself
            child.expect_exact(LEFT)
            child.expect_exact(ENTERED)
            child.expect_exact(b"\x1b[J")
            if end is signal.SIGINT:
                child.sendcontrol("c")
            else:
                child.kill(end)
            child.expect_exact(LEFT)
            child.expect(pexpect.EOF)
            child.wait()
            assert child.exitstatus == 128 + end


def test_another_size_of_the_window_is_drawn_at_once_and_no_color_is_obeyed() -> None:
    with running(("support",)) as host:
        host.configure({f"account-{n:02}": {} for n in range(30)})
        with watching(host, NO_COLOR="1") as child:
            child.expect_exact(b"account-18")
            child.expect_exact(b"more lines")
            assert b"account-19" not in child.before
            child.setwinsize(40, 100)
            child.expect_exact(b"account-29")
            child.expect_exact(b"Ctrl-C ends")
            assert b"\x1b[32m" not in child.before
            child.sendcontrol("c")
            child.expect_exact(LEFT)


def test_through_a_pipe_there_is_a_block_at_each_change_and_no_escape() -> None:
    with running(("support",)) as host:
        plain = host.start("status", "--watch", "0.1")
        lines = host.start("status", "--watch", "0.1", "--json")
        said, told = host.root / "0.log", host.root / "1.log"
        wait_for(lambda: "enabled" in said.read_text() and told.read_text())
        host.configure({"support": {"enabled": False}})
        wait_for(lambda: "disabled" in said.read_text())
        wait_for(lambda: len(told.read_text().splitlines()) == 2)
        for process in (plain, lines):
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        text = said.read_text()
        assert text.count("-- 20") == 2 and text.count("ACCOUNT") == 2 and "\x1b" not in text
        states = [
            json.loads(line)["accounts"][0]["state"] for line in told.read_text().splitlines()
        ]
        assert states == ["down", "disabled"]


def test_deep_finds_other_hosts_folders_services_and_orphaned_bridges() -> None:
    with running(("support",)) as host:
        home, states = host.root / "home", host.root / "states"
        units = home / ".config" / "systemd" / "user"
        units.mkdir(parents=True)
        (units / "raftsup-old.service").write_text("[Service]\nExecStart=raftsup up\n")
        (states / "raftsup-spare" / "ledger").mkdir(parents=True)
        (states / "raftsup-of-another-kind").mkdir()
        # A bridge by its command line alone, whose endpoint is not there.
        waits = [sys.executable, "-c", "import sys; sys.stdin.read(); import time; time.sleep(60)"]
        bridge = host.start(
            *("--profile", "lost", "agent", "bridge"),
            *("--wake-channel-endpoint", "http://127.0.0.1:9/wake"), argv=waits,
        )  # fmt: skip
        host.up()
        host.ready()
        env = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
        env["XDG_STATE_HOME"] = str(states)

        def look(*words: str) -> list[dict[str, str | int | None]]:
            done = host.run("status", "--deep", "--json", *words, **env)
            return list(json.loads(done.stdout)["others"])

        others = look()
        assert not [o for o in others if o["path"] == str(host.state.root)], "it is this one"
        paths = {o["path"]: o for o in others}
        assert "uninstall" not in str(paths[str(units / "raftsup-old.service")]["hint"])
        spare = paths[str(states / "raftsup-spare")]
        assert spare["kind"] == "state folder" and str(states) in str(spare["hint"])
        assert str(states / "raftsup-of-another-kind") not in paths
        lost = next(o for o in others if o["pid"] == bridge.pid)
        assert lost["kind"] == "orphaned bridge" and f"kill {bridge.pid}" in str(lost["hint"])
        ours = {process.pid for process in host.watch()} - {bridge.pid}
        assert not [o for o in others if o["pid"] in ours]
        # Seen from another instance, this one is the other.
        seen = look("--state-dir", str(states / "raftsup-spare"))
        mine = next(o for o in seen if o["path"] == str(host.state.root.resolve()))
        assert mine["pid"] == host.parent() and "raftsup stop --state-dir" in str(mine["hint"])
