"""Changing the config file: whole or not at all, one at a time, and never for the worse."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from raftsup.config.errors import ConfigError
from raftsup.config.file_update import revert, unset_variables, update_file
from raftsup.config.json5.edit import EditRefused, Set, edited

TEXT = """{
  // mine
  channels: { raft: { profile: "p", agent: { kind: "command", command: ["x"] } } },
}
"""


def attempts(number: int):  # type: ignore[no-untyped-def]
    return lambda text: edited(text, [Set(("turns", "attempts"), number)], Path("f"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "raftsup.json5"
    path.write_text(TEXT)
    return path


def test_the_mode_is_kept_and_nothing_else_is_left_in_the_folder(file: Path) -> None:
    file.chmod(0o640)
    done = update_file(file, attempts(5), {})
    assert done.changed and "// mine" in file.read_text() and "attempts: 5" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(file.parent) == [file.name]


def test_a_new_file_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "raftsup.json5"
    assert update_file(path, lambda text: TEXT if text is None else "", {}).before is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_symbolic_link_stays_and_its_target_changes(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json5"
    link.symlink_to(file)
    update_file(link, attempts(5), {})
    assert link.is_symlink() and "attempts: 5" in file.read_text()


def test_a_file_that_was_closed_to_writing_is_not_replaced(file: Path) -> None:
    file.chmod(0o444)
    with pytest.raises(EditRefused, match="read-only"):
        update_file(file, attempts(5), {})
    assert file.read_text() == TEXT
    assert not update_file(file, str, {}).changed, "nothing was to be written"


def test_line_breaks_stay_as_they_are(file: Path) -> None:
    file.write_bytes(TEXT.replace("\n", "\r\n").encode())
    update_file(file, attempts(5), {})
    assert file.read_bytes().count(b"\n") == file.read_bytes().count(b"\r\n") > 4


def test_a_change_that_makes_a_broken_config_is_refused_and_changes_nothing(file: Path) -> None:
    before = file.stat()
    with pytest.raises(ConfigError, match=r"raftsup.json5: turns.attempts: 0 is not allowed"):
        update_file(file, attempts(0), {})
    assert file.read_text() == TEXT and file.stat() == before


def test_what_was_wrong_before_does_not_forbid_a_change(file: Path) -> None:
    file.write_text(TEXT.replace("{\n", '{\n  dedupe: { ttl: "never" },\n', 1))
    update_file(file, attempts(5), {})
    assert "attempts: 5" in file.read_text()


def test_a_variable_that_only_the_host_has_does_not_forbid_a_change(file: Path) -> None:
    file.write_text(TEXT.replace('["x"]', '["x"], env: { K: "${ONLY_THERE}" }'))
    update_file(file, attempts(5), {})
    assert unset_variables(file.read_text(), file, {}) == ["ONLY_THERE"]
    assert unset_variables(file.read_text(), file, {"ONLY_THERE": "x"}) == []


def test_two_rewrites_at_once_lose_none(file: Path) -> None:
    first_reads, second_waits = threading.Event(), threading.Event()

    def slowly(text: str | None) -> str:
        first_reads.set()
        assert second_waits.wait(10)
        return attempts(5)(text)  # type: ignore[no-any-return]

    slow = threading.Thread(target=update_file, args=(file, slowly, {}))
    slow.start()
    assert first_reads.wait(10)

    def timeout(text: str | None) -> str:
        return edited(str(text), [Set(("turns", "timeout"), "5m")], file)

    quick = threading.Thread(target=update_file, args=(file, timeout, {}))
    quick.start()
    second_waits.set()
    slow.join(10)
    quick.join(10)
    assert "attempts: 5" in file.read_text() and 'timeout: "5m"' in file.read_text()


def test_who_waits_too_long_is_told(file: Path) -> None:
    with pytest.raises(EditRefused, match="another command has been changing it"):
        update_file(file, lambda text: str(update_file(file, attempts(5), {}, 0.0)), {})
    assert file.read_text() == TEXT


def test_an_editor_that_saves_in_between_is_noticed(file: Path) -> None:
    def meanwhile(text: str | None) -> str:
        file.write_text(TEXT + "// saved by an editor\n")
        return attempts(5)(text)  # type: ignore[no-any-return]

    with pytest.raises(EditRefused, match="was changed by another program just now"):
        update_file(file, meanwhile, {})
    assert file.read_text() == TEXT + "// saved by an editor\n"


def test_a_rewrite_can_be_undone_unless_it_was_changed_since(file: Path) -> None:
    done = update_file(file, attempts(5), {})
    assert revert(file, done) and file.read_text() == TEXT
    done = update_file(file, attempts(5), {})
    file.write_text(TEXT + "// mine\n")
    assert not revert(file, done) and file.read_text() == TEXT + "// mine\n"
