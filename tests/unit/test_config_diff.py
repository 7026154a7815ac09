"""What a change of the config takes, and which of it a mode lets in."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.config.model import (
    Account,
    CommandAgent,
    Config,
    Dedupe,
    LedgerSettings,
    Supervisor,
    Turns,
)
from raftsup.paths import StateDir
from raftsup.supervisor import config_diff
from raftsup.supervisor.config_diff import Change, Takes
from raftsup.worker.worker import settings_of

STATE = StateDir(Path("/nowhere"))
SUPPORT = Account("support", True, "p", None, ("raft",), CommandAgent(("a",)), "support")
CONFIG = Config(None, (SUPPORT,))


def accounts(profiles: dict[str, str]) -> st.SearchStrategy[tuple[Account, ...]]:
    return st.tuples(*(
        st.builds(
            Account, id=st.just(id_), enabled=st.booleans(), profile=st.just(profile),
            agent_id=st.sampled_from([None, "x"]), command=st.sampled_from([("raft",), ("r",)]),
            agent=st.sampled_from([CommandAgent(("a",)), CommandAgent(("b",))]),
            lane=st.sampled_from([id_, "shared"]), activity=st.sampled_from(["off", "turns"]),
            name=st.sampled_from([None, "Desk"]), problem=st.sampled_from([None, None, "no"]),
        )
        for id_, profile in profiles.items()
    ))  # fmt: skip


#: Profiles move between the accounts, but no two have one at a time.
CONFIGS = st.builds(
    Config,
    path=st.none(),
    accounts=st.lists(st.sampled_from("abc"), unique=True).flatmap(
        lambda ids: st.permutations("pqr").flatmap(
            lambda profiles: accounts(dict(zip(ids, profiles, strict=False)))
        )
    ),
    default_account=st.sampled_from([None, "a"]),
    turns=st.builds(
        Turns, concurrency=st.integers(1, 2), coalesce=st.sampled_from(["none", "queued"])
    ),
    dedupe=st.builds(Dedupe, max_entries=st.integers(1, 2)),
    ledger=st.builds(LedgerSettings, map_size=st.sampled_from([1 << 20, 1 << 21])),
    supervisor=st.builds(
        Supervisor, watchdog=st.sampled_from([20.0, 30.0]), reload=st.sampled_from(["off", "hot"])
    ),
)
MODES = st.sampled_from(sorted(config_diff.MODES))


def of_setting(path: str) -> Config:
    section, _, name = path.partition(".")
    values = getattr(CONFIG, section)
    old = getattr(values, name)
    other: Any = "other" if isinstance(old, str) else old + 1
    return replace(CONFIG, **{section: replace(values, **{name: other})})


@pytest.mark.parametrize(
    ("path", "takes"),
    [
        ("turns.concurrency", "live"), ("turns.timeout", "live"), ("turns.drain", "live"),
        ("turns.max_pause", "live"), ("turns.coalesce", "restart"), ("dedupe.ttl", "restart"),
        ("dedupe.max_entries", "restart"), ("ledger.map_size", "host"),
        ("supervisor.watchdog", "restart"), ("supervisor.reload", "live"),
        ("supervisor.bridge_silence", "restart"), ("supervisor.bridge_restart", "restart"),
    ],
)  # fmt: skip
def test_each_setting_takes_what_the_table_says(path: str, takes: str) -> None:
    (found,) = config_diff.changes(CONFIG, of_setting(path))
    assert found.takes == takes
    assert found.path.replace("maxPause", "max_pause").replace("maxEntries", "max_entries").replace(
        "mapSize", "map_size"
    ).replace("bridgeS", "bridge_s").replace("bridgeR", "bridge_r") == path  # fmt: skip


@pytest.mark.parametrize(
    ("change", "path", "takes"),
    [
        ({"profile": "q"}, ".profile", "restart"), ({"agent_id": "x"}, ".agentId", "restart"),
        ({"command": ("r",)}, ".command", "restart"),
        ({"activity": "turns"}, ".activity", "restart"),
        ({"agent": CommandAgent(("b",))}, ".agent", "live"), ({"lane": "l"}, ".lane", "live"),
        ({"name": "Desk"}, ".name", "nothing"), ({"enabled": False}, "", "stop"),
        ({"problem": "no profile"}, "", "stop"),
    ],
)  # fmt: skip
def test_each_key_of_an_account_takes_what_the_table_says(
    change: dict[str, Any], path: str, takes: str
) -> None:
    new = replace(CONFIG, accounts=(replace(SUPPORT, **change),))
    place = f"channels.raft.accounts.support{path}"
    assert config_diff.changes(CONFIG, new) == [Change(place, Takes(takes), "support")]


def test_an_account_comes_goes_and_does_not_matter_while_it_does_not_run() -> None:
    none, off = replace(CONFIG, accounts=()), replace(SUPPORT, enabled=False)
    disabled = replace(CONFIG, accounts=(off,))
    assert [c.takes for c in config_diff.changes(none, CONFIG)] == [Takes.START]
    assert [c.takes for c in config_diff.changes(CONFIG, none)] == [Takes.STOP]
    assert [c.takes for c in config_diff.changes(disabled, CONFIG)] == [Takes.START]
    assert [c.takes for c in config_diff.changes(none, disabled)] == [Takes.NOTHING]
    assert config_diff.open_changes(config_diff.changes(none, disabled)) == []


def test_no_key_of_an_account_and_no_section_is_forgotten() -> None:
    known = {*config_diff._OF_ACCOUNT, "id", "enabled", "problem"}
    assert {field.name for field in fields(Account)} == known
    # What ``turns`` has is the dispatcher's, which takes it live.
    others = {f"{s}.{f.name}" for s in config_diff._SECTIONS for f in fields(getattr(CONFIG, s))}
    assert {f for f in others if not f.startswith("turns.")} == {
        *(f for f in config_diff._NOT_LIVE if not f.startswith("turns.")), "supervisor.reload",
    }  # fmt: skip
    sections = {*config_diff._SECTIONS, "path", "accounts", "default_account"}
    assert {field.name for field in fields(Config)} == sections


@given(CONFIGS, CONFIGS)
def test_just_what_a_worker_must_know_restarts_it(old: Config, new: Config) -> None:
    found = config_diff.changes(old, new)
    for account in new.accounts:
        before = old.account(account.id)
        if before is None or not (before.runs and account.runs):
            continue
        differs = settings_of(old, before, STATE) != settings_of(new, account, STATE)
        concerned = [c for c in found if c.account in (None, account.id)]
        assert differs == any(c.takes in (Takes.RESTART, Takes.HOST) for c in concerned)


@given(CONFIGS, CONFIGS)
def test_nothing_differs_only_between_the_same(old: Config, new: Config) -> None:
    def told(config: Config) -> object:
        return sorted(config.accounts, key=lambda a: a.id), replace(config, accounts=())

    same = told(old) == told(new)
    assert (config_diff.changes(old, new) == []) == same


@given(CONFIGS, CONFIGS, MODES)
def test_a_mode_lets_in_all_that_it_allows_and_nothing_else(
    old: Config, new: Config, mode: str
) -> None:
    allowed = config_diff.MODES[mode]
    found = config_diff.merged(old, new, allowed)
    running = [a for a in found.accounts if a.runs]
    profiles = [a.profile for a in running]
    assert len(set(profiles)) == len(profiles), "two bridges on one profile"
    assert all(change.takes in allowed for change in config_diff.changes(old, found))
    for left in config_diff.changes(found, new):
        if left.takes in allowed:
            # Its profile is not free before a restart that the mode does not allow.
            account = new.account(left.account or "")
            assert mode == "hot"
            assert account is not None and account.profile in profiles
    if mode == "restart":
        assert found == new


@given(CONFIGS, CONFIGS, MODES)
def test_what_was_let_in_once_is_in_and_by_hand_only_a_whole_restart_is_left(
    old: Config, new: Config, mode: str
) -> None:
    found = config_diff.merged(old, new, config_diff.MODES[mode])
    assert config_diff.merged(found, new, config_diff.MODES[mode]) == found
    by_hand = config_diff.merged(found, new, config_diff.BY_HAND | config_diff.MODES[mode])
    assert {c.takes for c in config_diff.changes(by_hand, new)} <= {Takes.HOST}
    assert config_diff.merged(old, new, config_diff.EVERYTHING) == new


@given(CONFIGS, CONFIGS)
def test_hot_restarts_no_worker(old: Config, new: Config) -> None:
    found = config_diff.merged(old, new, config_diff.MODES["hot"])
    for account in found.accounts:
        before = old.account(account.id)
        if before is not None and before.runs and account.runs:
            assert settings_of(found, account, STATE) == settings_of(old, before, STATE)


@pytest.mark.parametrize(
    ("takes", "command"),
    [
        ([], ""), (["nothing"], ""), (["host"], "raftsup restart"), (["live"], "raftsup reload"),
        (["host", "restart"], "raftsup reload"),
    ],
)  # fmt: skip
def test_what_to_type_applies_what_is_left(takes: list[str], command: str) -> None:
    assert config_diff.command_for([Change("x", Takes(one)) for one in takes]) == command


def test_hot_starts_nobody_on_a_profile_that_another_one_still_has() -> None:
    moved = replace(SUPPORT, profile="q")
    heir = replace(SUPPORT, id="sales", lane="sales")
    new = replace(CONFIG, accounts=(moved, heir))
    hot = config_diff.merged(CONFIG, new, config_diff.MODES["hot"])
    assert hot.accounts == (SUPPORT,)
    assert config_diff.command_for(config_diff.changes(hot, new)) == "raftsup reload"
    assert config_diff.merged(CONFIG, new, config_diff.BY_HAND) == new
