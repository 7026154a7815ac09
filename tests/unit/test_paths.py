"""The state folder: where it is, and when it cannot be used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from raftsup.paths import (
    MAX_SOCKET_PATH,
    StateDir,
    StateDirError,
    default_config_path,
    default_state_dir,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_and_its_rooms_are_private(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "s")
    old = os.umask(0)
    try:
        state.prepare()
    finally:
        os.umask(old)
    rooms = [state.root, *(p for p in state.root.iterdir())]
    assert len(rooms) > 5
    assert {mode(room) for room in rooms} == {0o700}


def test_a_folder_that_others_could_enter_is_tightened(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "s")
    state.root.mkdir()
    state.root.chmod(0o755)
    state.prepare()
    assert mode(state.root) == 0o700


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "s")
    state.prepare()
    (state.reports / "support.json").write_text("{}")
    state.prepare()
    assert (state.reports / "support.json").read_text() == "{}"


def of_length(length: int) -> StateDir:
    """A state folder whose supervisor socket has a path of so many bytes."""
    rest = len(os.fsencode(StateDir(Path("/")).supervisor_socket))
    return StateDir(Path("/" + "x" * (length - rest - 1)))


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made() -> None:
    state = of_length(MAX_SOCKET_PATH + 1)
    with pytest.raises(StateDirError, match="RAFTSUP_STATE_DIR to a shorter path"):
        state.prepare()
    assert not state.root.exists()


def test_every_socket_of_a_folder_of_the_longest_path_can_be_bound() -> None:
    state = of_length(MAX_SOCKET_PATH)
    assert len(os.fsencode(state.supervisor_socket)) == MAX_SOCKET_PATH
    assert len(os.fsencode(state.dispatcher_socket)) <= 103
    assert len(os.fsencode(state.supervisor_socket)) + len(".4194304") <= 103


def test_length_counts_bytes_not_characters() -> None:
    state = StateDir(Path("/" + "ü" * 45))
    with pytest.raises(StateDirError, match="bytes long"):
        state.prepare()


def test_a_file_in_its_place_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(StateDirError, match=r"make it writable .* or set RAFTSUP_STATE_DIR"):
        StateDir(tmp_path / "s").prepare()


def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateDir(tmp_path / "s")
    state.prepare()
    monkeypatch.setattr(os, "getuid", lambda: state.root.stat().st_uid + 1)
    with pytest.raises(StateDirError, match="belongs to uid"):
        state.prepare()


@pytest.mark.parametrize(
    ("environ", "state", "config"),
    [
        (
            {"HOME": "/h"},
            "/h/.local/state/raftsup",
            "/h/.config/raftsup/raftsup.json5",
        ),
        (
            {"HOME": "/h", "XDG_STATE_HOME": "/xs", "XDG_CONFIG_HOME": "/xc"},
            "/xs/raftsup",
            "/xc/raftsup/raftsup.json5",
        ),
        (
            {"XDG_STATE_HOME": "/xs", "RAFTSUP_STATE_DIR": "/s", "RAFTSUP_CONFIG_PATH": "/c.json5"},
            "/s",
            "/c.json5",
        ),
        (
            {"HOME": "/h", "XDG_STATE_HOME": "rel", "XDG_CONFIG_HOME": "./x"},
            "/h/.local/state/raftsup",
            "/h/.config/raftsup/raftsup.json5",
        ),
        ({"HOME": ""}, "/.local/state/raftsup", "/.config/raftsup/raftsup.json5"),
    ],
)
def test_the_environment_names_folder_and_file_before_xdg_before_home(
    environ: dict[str, str], state: str, config: str
) -> None:
    assert default_state_dir(environ) == Path(state)
    assert default_config_path(environ) == Path(config)
