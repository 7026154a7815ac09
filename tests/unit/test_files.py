"""Writing a file whole."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from raftsup import files


def test_a_file_is_replaced_whole_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.replace(path, b"one")
    files.replace(path, b"two", durable=True)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_whoever_refuses_at_last_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.replace(path, b"one")

    def refuse() -> None:
        assert path.read_bytes() == b"one"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.replace(path, b"two", last=refuse)
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_two_writers_of_names_that_differ_by_their_ends_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    """``a.json`` and ``a.probe`` once shared the name ``a.new``."""
    names = ["a.json", "a.probe", "a.json", "a.probe"]

    def write(name: str) -> None:
        for _ in range(200):
            files.replace(tmp_path / name, name.encode() * 100)

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in set(names):
        assert (tmp_path / name).read_bytes() == name.encode() * 100
    assert {entry.name for entry in tmp_path.iterdir()} == set(names)


def test_of_two_who_create_a_file_the_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    assert files.create(path, b"one")
    assert not files.create(path, b"two")
    assert path.read_bytes() == b"one" and path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.pem"]
