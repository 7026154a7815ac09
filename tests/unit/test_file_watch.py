"""When an edited file may be read."""

from __future__ import annotations

from pathlib import Path

from raftsup.config.errors import ConfigError
from raftsup.supervisor.file_watch import (
    BROKEN_S,
    SETTLE_S,
    Do,
    Print,
    Watched,
    await_whole,
    finished,
    look,
    step,
)

OLD: Print = (1, 1, 10, 1, 1)
NEW: Print = (1, 1, 20, 2, 2)


def story(*looks: tuple[Print, float]) -> tuple[list[Do], Watched]:
    """What is done at each look, from a file that was read already."""
    watched, done = Watched(OLD, 0.0, done=True), []
    for seen, now in looks:
        do, watched = step(watched, seen, now)
        done.append(do)
    return done, watched


def test_a_file_that_stays_as_it_is_is_not_read() -> None:
    assert story((OLD, 1.0), (OLD, 100.0))[0] == [Do.WAIT, Do.WAIT]


def test_a_change_is_read_once_it_has_settled_and_not_while_it_is_written() -> None:
    writing: Print = (1, 1, 15, 2, 2)
    done, watched = story((writing, 1.0), (NEW, 1.0 + SETTLE_S), (NEW, 1.1 + 2 * SETTLE_S))
    assert done == [Do.WAIT, Do.WAIT, Do.TRY]
    assert step(finished(watched), NEW, 100.0)[0] is Do.WAIT


def test_a_file_that_could_not_be_used_is_read_again_and_then_left_until_it_changes() -> None:
    done, watched = story(
        (NEW, 1.0), (NEW, 1.1 + SETTLE_S), (NEW, 1.2 + SETTLE_S), (NEW, 1 + BROKEN_S)
    )
    assert done == [Do.WAIT, Do.TRY, Do.WAIT, Do.READ]
    assert step(watched, NEW, 100.0)[0] is Do.WAIT
    assert step(watched, OLD, 101.0)[0] is Do.WAIT
    assert step(step(watched, OLD, 101.0)[1], OLD, 102.0)[0] is Do.TRY


def test_a_file_that_is_away_for_a_moment_is_not_missed_before_it_stays_away() -> None:
    done, _ = story((None, 1.0), (None, 1.1 + SETTLE_S), (NEW, 2.0), (NEW, 2.1 + SETTLE_S))
    assert done == [Do.WAIT, Do.WAIT, Do.WAIT, Do.TRY]
    assert story((None, 1.0), (None, 1.0 + BROKEN_S))[0] == [Do.WAIT, Do.READ]


def test_every_way_in_which_editors_save_is_seen_also_behind_a_link(tmp_path: Path) -> None:
    file, link, other = tmp_path / "file", tmp_path / "link", tmp_path / "other"
    file.write_text("one")
    link.symlink_to(file)
    prints = [look(link)]
    file.write_text("four")
    prints.append(look(link))
    new = tmp_path / "new"
    new.write_text("five")
    new.replace(file)
    prints.append(look(link))
    other.write_text("five")
    link.unlink()
    link.symlink_to(other)
    prints.append(look(link))
    other.unlink()
    prints.append(look(link))
    assert len(set(prints)) == len(prints) and prints[-1] is None


def test_a_restart_waits_for_a_file_that_is_being_saved() -> None:
    tries = []

    def load() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ConfigError([])

    await_whole(load, sleep=lambda seconds: None)
    assert len(tries) == 3
