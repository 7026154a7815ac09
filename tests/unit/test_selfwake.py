"""The probe key: private, new for each worker, and no key where there is none."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from raftsup.ops.status.selfwake import ProbeFailed, send
from raftsup.worker.probe_key import is_probe, new_key


def test_a_key_is_private_and_the_last_workers_is_void(tmp_path: Path) -> None:
    path = tmp_path / "support.probe"
    path.write_text("an old one")
    path.chmod(0o644)
    first, second = new_key(path), new_key(path)
    assert first != second and path.read_text() == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert is_probe(second, second) and not is_probe(first, second)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_where_no_key_can_be_kept_nothing_is_a_probe(tmp_path: Path) -> None:
    key = new_key(tmp_path / "no such folder" / "support.probe")
    assert key == ""
    for presented in (None, "", "x", "\udcff"):
        assert not is_probe(presented, key)


def test_a_worker_that_left_no_key_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ProbeFailed, match="raftsup ctl restart accounts:support"):
        send("http://127.0.0.1:9/wake", tmp_path / "support.probe", 1.0)


def test_an_endpoint_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "support.probe"
    new_key(path)
    with pytest.raises(ProbeFailed, match="cannot be reached"):
        send("http://127.0.0.1:9/wake", path, 1.0)
