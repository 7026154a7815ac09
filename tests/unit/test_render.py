"""The status as a person sees it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.ops.status import render, table
from tests.unit.status_facts import NOW, account, status

NAMES = st.text("abcdefghijk-", min_size=1, max_size=40)
STATES = st.sampled_from(["ready", "starting", "degraded", "down", "disabled", "misconfigured"])
ENDS = st.sampled_from(["running", "done", "timed_out"])


def test_every_number_of_an_account_stands_under_its_head() -> None:
    lines = render.screen(status(account("support")), colour=False).splitlines()
    head = next(line for line in lines if line.startswith("ACCOUNT"))
    cells = [re.split(r"\s{2,}", line) for line in (head, lines[lines.index(head) + 1])]
    assert dict(zip(*cells, strict=True)) == {
        "ACCOUNT": "support", "STATE": "ready", "BRIDGE": "listening", "PORT": "4711",
        "LAST WAKE": "2m", "QUEUED": "7", "RUN": "1", "LAST TURN": "running 12s", "DONE": "39",
        "FAILED": "2", "RESTARTS": "3", "WAKES": "40", "DUPL": "5", "REJ": "6",
    }  # fmt: skip


def test_eighty_columns_show_all_that_one_looks_for_first() -> None:
    facts = account("twelve-chars", "degraded", "why")
    facts["turns"]["last"]["state"] = "timed_out"
    text = render.screen(status(facts), colour=False, width=80)
    head = next(line for line in text.splitlines() if line.startswith("ACCOUNT"))
    assert re.split(r"\s{2,}", head) == [
        "ACCOUNT", "STATE", "BRIDGE", "PORT", "LAST WAKE", "QUEUED", "RUN", "LAST TURN",
    ]  # fmt: skip
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", ["a-name-of-thirty-characters-ab", "x" * 30 + "-of-forty"])
def test_a_name_too_long_loses_its_middle_before_a_screen_loses_what_one_looks_for(
    name: str,
) -> None:
    facts = [account(name, "misconfigured", "why"), account("b")]
    head, row, _ = table.table(table.RUNNING, facts, NOW, 80)
    assert [cell.strip() for cell in head] == [
        "ACCOUNT", "STATE", "BRIDGE", "LAST WAKE", "QUEUED", "LAST TURN",
    ]  # fmt: skip
    begin, end = row[0].split("…")
    assert name.startswith(begin) and name.endswith(end) and len(row[0]) >= 20
    assert table.table(table.RUNNING, facts, NOW, 200)[1][0].strip() == name


def test_a_screen_that_is_drawn_again_keeps_its_columns_while_states_come_and_go() -> None:
    before, after = account("support", "starting", "why"), account("support")
    after["turns"]["last"] = after["endpoint"]["url"] = None
    heads = [table.table(table.RUNNING, [facts], NOW, 80)[0] for facts in (before, after)]
    assert heads[0] == heads[1]


@given(st.lists(st.tuples(NAMES, STATES, ENDS), max_size=4), st.integers(40, 200), st.booleans())
def test_no_row_is_wider_than_the_screen_and_each_tells_the_state(
    accounts: list[tuple[str, str, str]], width: int, runs: bool
) -> None:
    facts = [account(name, state, "why") for name, state, _ in accounts]
    for fact, (_, _, end) in zip(facts, accounts, strict=True):
        fact["turns"]["last"]["state"] = end
    shown = table.RUNNING if runs else table.WRITTEN
    rows = [table.joined(row) for row in table.table(shown, facts, NOW, width)]
    assert all(len(row) <= width for row in rows)
    for row, fact in zip(rows[1:], facts, strict=True):
        state = fact["state"] if runs else table.written_state(fact)
        assert row.split()[1] == state
        begin, _, end = row.split()[0].partition("…")
        assert fact["account"].startswith(begin) and fact["account"].endswith(end)


@given(st.integers(40, 200))
def test_a_wider_screen_shows_no_less(width: int) -> None:
    facts = [account("support"), account("sales", "misconfigured", "why")]
    narrow, wide = (table.table(table.RUNNING, facts, NOW, w)[0] for w in (width, width + 1))
    assert {head.strip() for head in narrow} <= {head.strip() for head in wide}


@given(st.floats(0, 1e9))
def test_an_age_is_short_and_never_more_than_it_is(seconds: float) -> None:
    text = table.age(seconds)
    whole = int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]
    assert whole <= seconds < 2 * whole + 1


def test_what_lies_ahead_of_the_clock_is_no_time_ago() -> None:
    assert table.age(-5) == "0s"


def test_what_never_happened_is_a_dash() -> None:
    facts = account("support")
    facts["endpoint"]["url"] = facts["wakes"]["lastAt"] = facts["turns"]["last"] = None
    row = table.joined(table.table(table.RUNNING, [facts], NOW, None)[1])
    assert [cell for cell in row.split() if cell == "-"] == ["-"] * 3


def test_whatever_is_not_well_has_its_reason_whole_and_within_the_width() -> None:
    reason = "the Raft CLI cannot be started; " * 8 + "see https://example.org/" + "x" * 30
    text = render.screen(status(account("a", "degraded", reason)), colour=False, width=80)
    assert reason.split() == " ".join(text.splitlines()[6:]).split()
    assert max(map(len, text.splitlines()[6:])) <= 80


def test_without_colour_there_is_no_escape() -> None:
    text = render.screen(status(account("a"), account("b", "down", "why")), colour=False)
    assert "\x1b" not in text


@pytest.mark.parametrize("state", ["ready", "starting", "degraded", "down", "disabled"])
def test_colour_changes_how_it_looks_and_not_what_it_says(state: str) -> None:
    # An account may be called like a state.
    checks = [{"check": "wake", "good": good, "text": "ok FAIL -"} for good in (True, False, None)]
    facts = status({**account(state, state, "why"), "probe": checks}, account("other", state, "x"))
    plain, coloured = render.screen(facts, colour=False), render.screen(facts, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert coloured.count("\x1b[") == 2 * (5 + len(checks))


def test_a_program_without_a_pid_shows_none() -> None:
    text = render.screen(status(), colour=False)
    assert "supervisor  running  pid 10\n" in text
    assert "dispatcher  stopped\n" in text


def test_without_a_host_it_says_so_and_shows_what_the_config_says() -> None:
    up = {**account("support", "down", "no worker runs for this account"), "agent": "command"}
    bad = {**account("sales", "misconfigured", "channels.raft.x: no profile"), "agent": "acp"}
    text = render.screen(status(up, bad, account("z", "disabled"), source="config"), colour=False)
    assert "no host runs here: this is what the config says" in text and "`raftsup up`" in text
    assert re.search(r"^support +enabled +support +command ", text, re.MULTILINE)
    assert "no worker runs" not in text and "channels.raft.x: no profile" in text
    assert "BRIDGE" not in text


def test_a_step_of_a_probe_stands_below_its_account_with_all_its_words() -> None:
    text = "it cannot be reached " * 8
    probed = {**account("a"), "probe": [{"check": "runner", "good": False, "text": text}]}
    lines = render.screen(status(probed), colour=False, width=80).splitlines()[6:]
    assert lines[0].split()[:2] == ["FAIL", "runner"]
    assert " ".join(lines).split()[2:] == text.split() and max(map(len, lines)) <= 80


def test_with_many_accounts_the_steps_of_each_that_are_well_share_a_line() -> None:
    checks = [
        {"check": "cli", "good": True, "text": "/usr/bin/raft, version 1.2", "brief": "1.2"},
        {"check": "profile", "good": False, "text": "it is signed out", "brief": ""},
        {"check": "bridge", "good": True, "text": "it listens, pid 3", "brief": ""},
        {"check": "runner", "good": None, "text": "not tried: no KEY", "brief": ""},
    ]
    probed = [{**account(name), "probe": checks} for name in "abc"]
    few = render.screen(status(*probed[:2]), colour=False)
    assert few.count("ok   cli         /usr/bin/raft, version 1.2\n") == 2
    many = render.screen(status(*probed), colour=False)
    assert many.count("    ok   cli 1.2, bridge\n") == 3
    assert many.count("    FAIL profile     it is signed out\n") == 3
    assert many.count("    -    runner      not tried: no KEY\n") == 3
    assert len(many.splitlines()) == 6 + 3 * 4


def test_the_accounts_are_counted_by_state_where_there_are_some() -> None:
    text = render.screen(
        status(account("a"), account("b"), account("c", "down", "x")), colour=False
    )
    assert "accounts    2 ready, 1 down\n" in text
    assert "accounts " not in render.screen(status(account("a")), colour=False)


def test_a_program_or_a_ledger_that_is_not_well_has_its_reason_below() -> None:
    facts = status(account("a"))
    facts["dispatcher"] = {"state": "fatal", "pid": None, "reason": "it died " * 20}
    facts["ledger"] = {"reason": "not an LMDB file"}
    lines = render.screen(facts, colour=False, width=80).splitlines()
    assert "dispatcher  fatal" in lines and max(map(len, lines[:-1])) <= 80
    assert lines[lines.index("dispatcher  fatal") + 1].startswith("    it died")
    for source in ("host", "config"):
        text = render.screen(facts | {"source": source}, colour=False)
        assert "ledger      unreadable: wakes and turns are not known\n    not an LMDB" in text


def test_what_else_is_on_the_machine_has_its_hint_and_nothing_is_said_so() -> None:
    other = {"kind": "host", "what": "runs on /x, pid 3", "hint": "`raftsup stop` ends it"}
    text = render.screen(status() | {"others": [other]}, colour=False)
    assert "  host: runs on /x, pid 3\n    `raftsup stop` ends it\n" in text
    assert "nothing else" in render.screen(status() | {"others": []}, colour=False)


def test_what_a_bridge_or_another_user_wrote_moves_no_terminal() -> None:
    spoilt = "\x1b]0;title\x07 and\nmore"
    whole = status(account("support", "degraded", spoilt))
    whole["accounts"][0]["probe"] = [
        {"check": "cli", "good": False, "text": spoilt, "brief": ""},
    ]
    whole["others"] = [{"kind": "orphan", "what": spoilt, "hint": spoilt}]
    text = render.screen(whole, colour=False)
    assert text.count("]0;title  and more") == 4
    assert all(line.isprintable() for line in text.splitlines())
