"""The ``supervisord.conf`` that a start writes: private, and readable by whoever must read it."""

from __future__ import annotations

import configparser
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup.paths import StateDir
from raftsup.supervisor import supervisord_conf


@pytest.fixture
def short_path() -> Iterator[Path]:
    """One that leaves room for a socket's name, wherever pytest has its folders."""
    with tempfile.TemporaryDirectory(prefix="rs-") as folder:
        yield Path(folder)


def state_in(folder: Path) -> StateDir:
    state = StateDir(folder)
    state.prepare()
    return state


def test_the_file_is_private_also_over_one_that_was_not(tmp_path: Path) -> None:
    state = state_in(tmp_path / "s")
    state.supervisord_conf.write_text("")
    state.supervisord_conf.chmod(0o644)
    path = supervisord_conf.write(state, 3)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_start_has_a_new_password(tmp_path: Path) -> None:
    state = state_in(tmp_path / "s")
    supervisord_conf.write(state, 3)
    first = supervisord_conf.access(state)
    supervisord_conf.write(state, 3)
    second = supervisord_conf.access(state)
    assert first and second
    assert first.password != second.password


@pytest.mark.parametrize("name", ["s", "a b", "50%", "%(ENV_HOME)s", "ü"])
def test_whoever_reads_it_finds_the_same_socket(short_path: Path, name: str) -> None:
    state = state_in(short_path / name)
    supervisord_conf.write(state, 3)
    access = supervisord_conf.access(state)
    assert access is not None
    assert access.url == f"unix://{state.supervisor_socket}"
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read(state.supervisord_conf)
    server = parser["unix_http_server"]
    assert (server["username"], server["password"]) == (access.username, access.password)
    assert server["file"].replace("%%", "%") == str(state.supervisor_socket)


def test_a_folder_where_nothing_was_started_has_no_access(tmp_path: Path) -> None:
    assert supervisord_conf.access(StateDir(tmp_path / "s")) is None
