"""A ledger that is removed or replaced under a running host is neither written to nor made anew."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from raftsup import exit_codes
from raftsup.ledger import LedgerError, LedgerUnavailable, open_ledger
from tests.integration.host import running, wait_for


def test_what_has_lost_its_name_takes_no_write(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l", 1 << 20)
    assert ledger.current
    (tmp_path / "l").rename(tmp_path / "aside")
    assert not ledger.current
    with pytest.raises(LedgerUnavailable, match="removed or replaced") as found:
        ledger.owe("a", "operator", now=1.0)
    assert found.value.lasting
    (tmp_path / "aside").rename(tmp_path / "l")
    assert ledger.owe("a", "operator", now=1.0).id == 1
    ledger.close()


def test_who_may_not_make_one_says_that_it_is_gone(tmp_path: Path) -> None:
    (tmp_path / "l").mkdir()
    with pytest.raises(LedgerError, match="the ledger is gone"):
        open_ledger(tmp_path / "l", 1 << 20, create=False)
    assert list((tmp_path / "l").iterdir()) == []


def test_a_host_whose_ledger_is_moved_away_is_not_green_and_goes_on_once_it_is_back() -> None:
    with running(("support",)) as host:
        host.up()
        host.ready()
        host.raft.workspace.post("support", "one")
        host.answered("one")
        aside = host.root / "aside"
        shutil.move(host.state.ledger, aside)
        wait_for(lambda: host.run("health").returncode == exit_codes.NOT_READY)
        assert "is gone: put it back" in host.run("status").stdout
        assert not (host.state.ledger / "data.mdb").exists(), "nobody makes another"
        host.raft.workspace.post("support", "two")
        shutil.rmtree(host.state.ledger, ignore_errors=True)
        shutil.move(aside, host.state.ledger)
        host.answered("two")
        host.ready()
        wait_for(lambda: host.account("support")["turns"]["done"] >= 2)


def test_a_worker_that_dies_then_makes_no_ledger_of_its_own() -> None:
    with running(("support",)) as host:
        host.up()
        host.ready()
        shutil.rmtree(host.state.ledger)
        os.kill(host.account("support")["endpoint"]["pid"], signal.SIGKILL)
        wait_for(lambda: host.account("support")["state"] == "down")
        assert not (host.state.ledger / "data.mdb").exists()
        wait_for(lambda: "the ledger is gone" in host.said())
        assert host.run("restart").returncode == exit_codes.OK
        host.ready()
