"""``raftsup drain``: nothing more is accepted or started, what runs ends first, then the host."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from raftsup import exit_codes
from raftsup.cli.main import main
from tests.integration.host import AGENT, Host, running, wait_for


@pytest.fixture
def host() -> Iterator[Host]:
    with running() as host:
        yield host


def agent(**env: str) -> dict[str, object]:
    return {"agent": {**AGENT, "env": {**AGENT["env"], **env}}}


def begin(host: Host, **env: str) -> None:
    """A host with a running turn of ``support`` and one queued behind it."""
    host.configure({"support": agent(**env), "sales": {}}, turns={"drain": "200ms"})
    host.up()
    host.ready()
    host.raft.workspace.post("support", "first")
    wait_for(lambda: host.account("support")["turns"]["running"] == 1, what="a running turn")
    host.raft.workspace.post("support", "second")
    wait_for(lambda: host.account("support")["turns"]["queued"] == 1, what="a queued turn")
    host.watch()


def draining(host: Host) -> bool:
    return bool(host.status()["dispatcher"]["state"] == "draining")


def test_a_drain_waits_longer_than_a_stop_and_what_is_queued_stays_owed(host: Host) -> None:
    begin(host, RAFT_SIM_AGENT_SECONDS="6")
    drain = host.start("drain", "--json")
    wait_for(lambda: draining(host), what="a drain")
    refused = host.run("turn", "run", "sales")
    assert refused.returncode == exit_codes.FAILED and "the host is stopping" in refused.stderr
    changed = host.run("account", "disable", "sales")
    assert (changed.returncode, changed.stderr) == (exit_codes.OK, "")
    assert "the host is draining: the change takes effect at the next start" in changed.stdout
    unwell = host.run("health")
    assert unwell.returncode == exit_codes.NOT_READY and "the host drains" in unwell.stdout
    wait_for(lambda: host.account("sales")["endpoint"]["pid"] is None, what="no endpoint")
    host.raft.workspace.post("sales", "later")
    assert drain.wait(20) == exit_codes.OK
    assert [process.wait(5) for process in host.started] == [exit_codes.OK, exit_codes.OK]
    host.gone()
    told = json.loads((host.root / "1.log").read_text())
    assert told == {"pid": host.started[0].pid, "finished": [1], "unfinished": []}
    counts = host.account("support")["turns"]
    assert (counts["done"], counts["queued"], counts["running"]) == (1, 1, 0)
    assert host.account("sales")["wakes"]["accepted"] == 0
    host.configure({"support": {}, "sales": {}})
    host.up()
    host.answered("second", "later")


def test_a_drain_with_a_timeout_interrupts_what_outlasts_it_and_names_it(host: Host) -> None:
    begin(host, RAFT_SIM_AGENT_HANG="1")
    done = host.run("drain", "--timeout", "0.5")
    assert done.returncode == exit_codes.FAILED
    assert "turn 1 has not ended" in done.stderr
    assert "waiting" not in done.stderr, "quiet where nobody watches"
    host.gone()
    assert host.account("support")["turns"]["queued"] == 2
    assert host.run("drain").returncode == exit_codes.NOT_RUNNING


def test_a_stop_hurries_a_drain_into_its_own_budget(host: Host) -> None:
    begin(host, RAFT_SIM_AGENT_HANG="1")
    drain = host.start("drain")
    wait_for(lambda: draining(host), what="a drain")
    assert host.run("stop").returncode == exit_codes.OK
    assert drain.wait(20) == exit_codes.FAILED
    host.gone()


@pytest.mark.parametrize("command", ["drain", "stop", "restart"])
@pytest.mark.parametrize("time", ["-1", "nan", "inf", "5m"])
def test_waiting_for_no_time_that_there_is_is_refused(
    command: str, time: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, f"--timeout={time}", "--state-dir", "/nowhere"])
    assert end.value.code == exit_codes.USAGE
    assert f"'{time}': write seconds, 0 or more" in capsys.readouterr().err
