"""A restart is no end of a host whose file is broken by then."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from raftsup import __version__
from raftsup.config import document
from raftsup.config.errors import ConfigError, Problem
from raftsup.config.model import Account, CommandAgent, Config
from raftsup.proc import lockfile
from raftsup.supervisor import handover

AGENT = CommandAgent(("agent",), env=MappingProxyType({"KEY": "secret"}))
GOOD = Config(Path("/file"), (Account("a", True, "p", None, ("raft",), AGENT, "a"),))


def broken() -> Config:
    raise ConfigError([Problem("/file", "is not JSON5", "close it")])


def taken(environ: dict[str, str], load: Callable[[], Config]) -> tuple[Config, list[str]]:
    told: list[str] = []
    return handover.load_or_left(
        load, environ, lambda error: told.append(str(error)), told.append
    ), told


def test_the_last_good_config_is_used_where_the_file_is_broken_and_only_there() -> None:
    environ: dict[str, str] = {}
    handover.leave_config(GOOD, environ)
    assert "secret" not in str(environ)
    assert taken(environ, broken) == (GOOD, ["/file: is not JSON5; close it"])
    handover.leave_config(GOOD, environ)
    newer = Config(Path("/file"), ())
    assert taken(environ, lambda: newer) == (newer, [])


def test_it_is_taken_once_and_nothing_of_it_is_left_open() -> None:
    environ: dict[str, str] = {}
    handover.leave_config(GOOD, environ)
    descriptor = int(environ[handover.CONFIG])
    assert os.get_inheritable(descriptor)
    taken(environ, broken)
    assert environ == {}
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def refused(environ: dict[str, str]) -> str:
    """The line about what was left, where the file is good."""
    config, (line,) = taken(environ, lambda: GOOD)
    assert config == GOOD and environ == {}
    assert "secret" not in line and line.endswith("the file is read")
    return line


def left_by_hand(body: bytes) -> dict[str, str]:
    reading, writing = os.pipe()
    os.write(writing, body)
    os.close(writing)
    return {handover.CONFIG: str(reading)}


def test_without_one_a_broken_file_is_what_it_is() -> None:
    with pytest.raises(ConfigError, match="not JSON5"):
        taken({}, broken)


@pytest.mark.parametrize("number", ["x", "99999"])
def test_one_that_is_not_there_is_refused_with_a_line(number: str) -> None:
    assert "cannot be read" in refused({handover.CONFIG: number})
    with pytest.raises(ConfigError, match="not JSON5"):
        taken({handover.CONFIG: number}, broken)


def test_that_of_another_version_is_refused_with_a_line() -> None:
    body = b"another\n" + document.dump(GOOD)
    assert f"from raftsup another, and this is {__version__}" in refused(left_by_hand(body))
    with pytest.raises(ConfigError, match="not JSON5"):
        taken(left_by_hand(body), broken)


@pytest.mark.parametrize("body", [b"", b"{}", b"\x80\x05craftsup.gone\nConfig\n."])
def test_that_of_a_version_that_keeps_its_parts_elsewhere_is_refused_too(body: bytes) -> None:
    assert "cannot be read" in refused(left_by_hand(body))
    with pytest.raises(ConfigError, match="not JSON5"):
        taken(left_by_hand(body), broken)


def test_one_that_no_pipe_takes_is_not_left_half() -> None:
    environ: dict[str, str] = {}
    accounts = tuple(
        Account(f"a{i}", True, "p" * 1000, f"{i}" * 9000, (), None, "a") for i in range(500)
    )
    handover.leave_config(Config(None, accounts), environ)
    assert environ == {}


def test_the_lock_stays_held_and_is_nobody_elses(tmp_path: Path) -> None:
    path, other = tmp_path / "lock", tmp_path / "other"
    environ: dict[str, str] = {}
    held = lockfile.take(path)
    handover.leave_lock(held, environ)
    assert os.get_inheritable(held)
    assert lockfile.holder(path) == os.getpid()
    assert handover.lock(path, environ) == held
    assert environ == {} and not os.get_inheritable(held)
    assert lockfile.holder(path) == os.getpid()

    other.touch()
    handover.leave_lock(held, environ)
    assert handover.lock(other, environ) is None, "of another state folder"
    with path.open() as unheld:
        environ[handover.LOCK] = str(unheld.fileno())
        assert handover.lock(path, environ) is None, "open, but not what holds it"
    assert handover.lock(path, {}) is None
    os.close(held)
