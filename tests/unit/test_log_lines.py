"""Records out of log lines, and which of them are shown."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.log import say
from raftsup.ops.logs import format
from raftsup.ops.logs.record import (
    Record,
    Wanted,
    backwards,
    fields_of,
    forwards,
    head_of,
    since_of,
    source_of,
)
from raftsup.terminal import stamp

SUPPORT = source_of("accounts-support.log")
PARENT = source_of("supervisord.log")
DISPATCHER = source_of("dispatcher.log")
AT = "2026-11-21T08:00:00.000Z"
LINES = [
    f"{AT} INFO support action=worker.started",
    f"{AT} CRITICAL support action=worker.broke thread=bridge",
    "Traceback (most recent call last):",
    "",
    "KeyError: 'x'",
    "2026-11-21T08:00:01.000Z INFO support action=wake.accepted turn=7",
]
KEYS = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
VALUES = st.one_of(st.text(st.characters(categories=None)), st.integers(), st.booleans())


def as_read(text: str) -> str:
    # Two halves of a character, side by side, are that character to every reader of JSON.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def joined(text: str) -> str:
    try:
        return as_read(text)
    except UnicodeDecodeError:
        return text


@given(st.from_regex(r"[a-z]+\.[a-z_]+", fullmatch=True), st.dictionaries(KEYS, VALUES))
def test_what_say_writes_is_read_back_as_it_was(action: str, fields: dict[str, object]) -> None:
    fields.pop("action", None)
    read = fields_of(say(action, **fields))
    assert {k: joined(v) for k, v in read.items()} == {
        "action": action,
        **{key: joined(str(value)) for key, value in fields.items()},
    }
    assert list(read) == ["action", *fields]


@given(st.text(st.characters(categories=None)))
def test_no_value_of_a_field_begins_another_record(value: str) -> None:
    line = f"{AT} INFO support {say('bridge.said', line=f'{AT} INFO support {value}')}"
    assert len(line.splitlines()) == 1
    record = head_of(line, SUPPORT)
    assert record is not None and record.fields["action"] == "bridge.said"


@pytest.mark.parametrize("text", ["free text", 'a="', "a=b=c", "a b=c", 'a="\\x"', "a=b  c=d", ""])
def test_a_message_that_say_did_not_write_has_no_fields(text: str) -> None:
    assert fields_of(text) == {}


def test_lines_that_are_no_records_belong_to_the_one_before_them_either_way() -> None:
    forward = forwards(LINES, SUPPORT, None, AT)
    assert [record.more for record in forward] == [(), tuple(LINES[2:5]), ()]
    assert list(backwards(reversed(LINES), SUPPORT, AT))[::-1] == forward


@given(st.lists(st.sampled_from(LINES), min_size=1), st.data())
def test_read_from_the_end_or_in_pieces_every_line_keeps_its_place(
    lines: list[str], data: st.DataObject
) -> None:
    whole = "".join(f"{line}\n" for line in lines)
    from_the_end = list(backwards(reversed(lines), SUPPORT, AT))[::-1]
    assert "".join(format.as_text(r, colour=False) for r in from_the_end) == whole
    shown, last, rest = "", None, lines
    while rest:
        piece = data.draw(st.integers(1, len(rest)))
        records = forwards(rest[:piece], SUPPORT, last, AT)
        shown += "".join(format.as_text(r, colour=False) for r in records)
        last, rest = records[-1], rest[piece:]
    assert shown == whole


def test_what_comes_later_of_a_record_is_shown_where_the_record_is() -> None:
    (broke,) = forwards([f"{AT} ERROR dispatcher action=runner.broke turn=7"], DISPATCHER, None, AT)
    (late,) = forwards(["KeyError: 'x'"], DISPATCHER, broke, AT)
    (later,) = forwards(["more"], DISPATCHER, late, AT)
    assert Wanted(turn=7, level="ERROR")(late) and Wanted(turn=7)(later)
    assert not Wanted(turn=8)(late)
    assert format.as_text(late, colour=False) == "KeyError: 'x'\n"


def test_the_parents_lines_have_the_time_and_the_words_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        line = "2026-11-21 17:00:00,250 CRIT support (pid 7) is silent: killing it"
        record = head_of(line, PARENT)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert record == Record(
        "2026-11-21T08:00:00.250Z", "CRITICAL", PARENT, "support (pid 7) is silent: killing it"
    )


def test_of_one_moment_the_wake_stands_before_its_turn() -> None:
    accepted = Record(AT, "INFO", SUPPORT, "action=wake.accepted turn=1")
    started = Record(AT, "INFO", DISPATCHER, "action=turn.started turn=1")
    assert sorted([started, accepted], key=lambda record: record.key) == [accepted, started]


@pytest.mark.parametrize(
    ("source", "message", "about"),
    [
        (SUPPORT, "anything", True),
        (source_of("accounts-sales.log"), "action=x account=support", False),
        (DISPATCHER, "action=turn.done turn=1 account=support lane=both", True),
        (DISPATCHER, "action=turn.done turn=1 account=sales lane=support", False),
        (DISPATCHER, "action=lane.paused lane=support", True),
        (DISPATCHER, "action=dispatcher.ready", False),
        (PARENT, "spawned: 'support' with pid 7", True),
        (PARENT, "accounts:support: exit status 1; start 2 in 0.3 s", True),
        (PARENT, "stopped: support (exit status 0)", True),
        (PARENT, "stopped: support-2 (exit status 0)", False),
        (PARENT, "spawned: 'sales' with pid 7", False),
    ],
)
def test_an_account_is_its_workers_lines_and_what_others_say_of_it(
    source: object, message: str, about: bool
) -> None:
    assert Wanted(account="support")(Record(AT, "INFO", source, message)) is about  # type: ignore[arg-type]


def test_since_is_a_duration_or_a_time() -> None:
    now = 1_795_248_000.5
    assert since_of("10m", now) == stamp(now - 600)
    assert since_of("2026-11-21T08:00Z", now) == AT
    assert since_of("2026-11-21 08:00", now) == AT
    assert since_of("2026-11-21T09:00+01:00", now) == AT
    assert since_of("yesterday", now) is None


@given(st.integers(0, 4_000_000_000_000))
def test_a_stamp_is_the_millisecond_it_was_made_of(milliseconds: int) -> None:
    assert stamp(milliseconds / 1000).endswith(f".{milliseconds % 1000:03d}Z")


def test_a_record_as_an_object_keeps_what_every_record_has() -> None:
    record = Record(AT, "INFO", DISPATCHER, "action=x time=never account=support", ("more",))
    assert format.as_json(record) == {
        "time": AT, "level": "INFO", "program": "dispatcher", "action": "x",
        "account": "support", "more": ["more"],
    }  # fmt: skip


def test_nothing_that_is_shown_moves_a_terminal() -> None:
    record = Record(AT, "INFO", SUPPORT, "a\x1b[2Jb", ("\x9b31mred\tx",))
    shown = format.as_text(record, colour=False)
    assert shown == f"{AT} INFO support a\\x1b[2Jb\n\\x9b31mred\tx\n"


def test_an_account_has_one_colour_in_every_programs_lines() -> None:
    own = format.as_text(Record(AT, "INFO", SUPPORT, "a"), colour=True)
    other = format.as_text(Record(AT, "INFO", DISPATCHER, "action=a account=support"), colour=True)
    colour = own.split("\x1b[")[3].split("m")[0]
    assert f"\x1b[{colour}msupport\x1b[0m" in own
    assert f"\x1b[{colour}mdispatcher\x1b[0m" in other
