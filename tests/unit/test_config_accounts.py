from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.config.accounts import normalise_id
from raftsup.config.model import Account
from tests.unit.config_trees import AGENT, config, problems, raft


def only(channel: dict[str, Any], environ: dict[str, str] | None = None) -> Account:
    (account,) = config(raft(channel), environ).accounts
    return account


@given(st.text() | st.from_regex(r"[A-Za-z0-9_ -]{0,80}"))
def test_ids_are_safe_and_normalising_again_changes_nothing(key: str) -> None:
    id_ = normalise_id(key)
    assert id_ == "" or re.fullmatch(r"[a-z0-9_][a-z0-9_-]{0,63}", id_)
    assert normalise_id(id_) == id_


@pytest.mark.parametrize(
    ("key", "id_"),
    [
        ("Support", "support"), ("support-", "support-"), ("My Team!", "my-team"),
        ("--a--", "a"), ("a..b", "a-b"), ("_x", "_x"), ("x\n", "x"), ("\u212a", "k"),
        ("\u017f", ""), ("...", ""), ("!" + "a" * 63 + "-b", "a" * 63 + "-"),
        ("A" * 70, "a" * 64),
    ],
)  # fmt: skip
def test_ids_are_normalised_as_openclaw_does_it(key: str, id_: str) -> None:
    assert normalise_id(key) == id_


def test_two_keys_of_one_id_are_an_error_that_names_both() -> None:
    found = problems(raft({"accounts": {"My Team": {"profile": "a"}, "my-team": {"profile": "b"}}}))
    assert 'channels.raft.accounts["My Team"]' in found["channels.raft.accounts.my-team"]


def test_a_key_that_leaves_no_id_is_an_error() -> None:
    assert list(problems(raft({"accounts": {"!": {"profile": "a"}}}))) == [
        'channels.raft.accounts["!"]'
    ]


def test_settings_at_the_top_make_the_account_default() -> None:
    account = only({"profile": " p ", "agentId": "id", "lane": "l", "name": "N", "agent": AGENT})
    assert (account.id, account.profile, account.agent_id, account.lane, account.name) == (
        "default", "p", "id", "l", "N",
    )  # fmt: skip
    assert account.runs


def test_settings_at_the_top_fill_the_account_default_and_its_own_come_first() -> None:
    account = only({"profile": "top", "agentId": "top", "lane": "top",
                    "accounts": {"Default": {"profile": "own", "agentId": " "}}})  # fmt: skip
    assert (account.profile, account.agent_id, account.lane) == ("own", "top", "top")


def test_settings_at_the_top_are_no_other_accounts() -> None:
    held = config(raft({"profile": "top", "lane": "top", "accounts": {"a": {"profile": "p"}}}))
    other = held.account("a")
    assert [a.id for a in held.accounts] == ["default", "a"]
    assert other is not None and (other.profile, other.lane) == ("p", "a")


def test_raft_profile_makes_the_account_default_beside_others() -> None:
    held = config(raft({"accounts": {"a": {"profile": "p"}}}), {"RAFT_PROFILE": "env"})
    assert [(a.id, a.profile) for a in held.accounts] == [("default", "env"), ("a", "p")]


@pytest.mark.parametrize("channel", [{}, {"profile": "  "}, {"accounts": {"default": {}}}])
def test_raft_profile_fills_default_where_no_profile_is_set(channel: dict[str, Any]) -> None:
    assert only(channel, {"RAFT_PROFILE": " env "}).profile == "env"


@pytest.mark.parametrize("channel", [{"profile": "p"}, {"accounts": {"default": {"profile": "p"}}}])
def test_a_configured_profile_comes_before_raft_profile(channel: dict[str, Any]) -> None:
    assert only(channel, {"RAFT_PROFILE": "env"}).profile == "p"


def test_a_blank_raft_profile_is_unset() -> None:
    assert "channels.raft.accounts" in problems(raft({}), {"RAFT_PROFILE": " "})


def test_no_accounts_at_all_is_an_error() -> None:
    assert list(problems({})) == ["channels.raft.accounts"]


def test_two_accounts_on_one_profile_are_an_error_even_if_disabled() -> None:
    found = problems(raft({"accounts": {
        "a": {"profile": "p"}, "b": {"profile": " p", "enabled": False}}}))  # fmt: skip
    assert "channels.raft.accounts.a.profile" in found["channels.raft.accounts.b.profile"]


@pytest.mark.parametrize("variable", ["RAFT_PROFILE", "SLOCK_PROFILE"])
def test_an_exported_profile_that_an_account_has_is_that_account(variable: str) -> None:
    held = config(raft({"accounts": {"a": {"profile": "p"}}}), {variable: "p"})
    assert [(a.id, a.profile) for a in held.accounts] == [("a", "p")]


@pytest.mark.parametrize("variable", ["RAFT_PROFILE", "SLOCK_PROFILE"])
def test_an_exported_profile_of_no_account_is_the_default_one_and_warned_of(variable: str) -> None:
    held = config(raft({"accounts": {"a": {"profile": "p", "agentId": "x"}}}), {variable: "q"})
    default, other = held.accounts
    assert (default.id, default.profile, other.id) == ("default", "q", "a")
    assert "raft --profile q auth whoami" in str(held.warning(default))
    assert held.warning(other) is None


def test_two_accounts_that_are_one_agent_are_warned_of_while_both_run() -> None:
    two = {"a": {"profile": "p", "agentId": "x"}, "b": {"profile": "q", "agentId": "x"}}
    agent = {"agent": {"kind": "command", "command": ["true"]}}
    held = config(raft({"accounts": {id_: {**one, **agent} for id_, one in two.items()}}))
    assert ["so is b" in str(held.warning(held.accounts[0])),
            "so is a" in str(held.warning(held.accounts[1]))] == [True, True]  # fmt: skip
    two["b"]["enabled"] = False  # type: ignore[assignment]
    held = config(raft({"accounts": {id_: {**one, **agent} for id_, one in two.items()}}))
    assert [held.warning(account) for account in held.accounts] == [None, None]


def test_exported_profiles_that_disagree_are_told() -> None:
    both = {"RAFT_PROFILE": "p", "SLOCK_PROFILE": "q"}
    found = problems(raft({"accounts": {"a": {"profile": "p"}}}), both)
    assert "unset one" in found["RAFT_PROFILE and SLOCK_PROFILE in the environment"]


@pytest.mark.parametrize(
    "variable", ["RAFT_PROFILE_DIR", "SLOCK_PROFILE_DIR", "RAFT_AGENT_BRIDGE_STATE_DIR"]
)
def test_one_profiles_own_folder_serves_one_account_and_not_two(variable: str) -> None:
    one = {"a": {"profile": "p"}, "off": {"profile": "q", "enabled": False}}
    assert config(raft({"accounts": one}), {variable: "/x"}).accounts
    two = {"a": {"profile": "p"}, "b": {"profile": "q"}}
    found = problems(raft({"accounts": two}), {variable: "/x"})
    told = found[f"{variable} in the environment"]
    assert "there are 2 accounts: a, b" in told and "RAFT_HOME" in told


def test_a_disabled_channel_disables_all_accounts() -> None:
    held = config(raft({"enabled": False, "accounts": {"a": {"profile": "p", "enabled": True}}}))
    assert [a.enabled for a in held.accounts] == [False]


def test_a_disabled_account_is_listed_and_does_not_run() -> None:
    account = only({"accounts": {"a": {"profile": "p", "enabled": False}}})
    assert account.problem is None and not account.runs


def test_an_account_without_profile_is_misconfigured_and_others_run() -> None:
    held = config(raft({"accounts": {"a": {}, "b": {"profile": "p"}}}))
    a, b = held.accounts
    assert "channels.raft.accounts.a.profile" in str(a.problem) and "write profile:" in str(
        a.problem
    )
    assert not a.runs and b.runs


def test_an_account_without_agent_is_misconfigured_and_others_run() -> None:
    accounts = {"a": {"profile": "p"}, "b": {"profile": "q", "agent": AGENT}}
    a, b = config({"channels": {"raft": {"accounts": accounts}}}).accounts
    assert "channels.raft.accounts.a.agent" in str(a.problem) and "turns.agent" in str(a.problem)
    assert not a.runs and b.runs


def test_the_raft_cli_is_the_accounts_own_else_the_channels_else_raft() -> None:
    accounts = {"a": {"profile": "p", "command": ["x", "y"]}, "b": {"profile": "q"}}
    held = config(raft({"command": ["node", "raft.js"], "accounts": accounts}))
    assert [a.command for a in held.accounts] == [("x", "y"), ("node", "raft.js")]
    assert only({"profile": "p"}).command == ("raft",)


def test_the_lane_is_the_accounts_id_unless_it_names_one() -> None:
    accounts = {"A": {"profile": "p"}, "b": {"profile": "q", "lane": "shared"}}
    assert [a.lane for a in config(raft({"accounts": accounts})).accounts] == ["a", "shared"]


def test_default_account_is_normalised_and_must_exist() -> None:
    accounts = {"support": {"profile": "p"}}
    held = config(raft({"defaultAccount": "Support", "accounts": accounts}))
    assert held.default_account == "support"
    found = problems(raft({"defaultAccount": "suport", "accounts": accounts}))
    assert 'did you mean "support"?' in found["channels.raft.defaultAccount"]


def test_openclaws_config_writes_is_taken_and_ignored() -> None:
    assert only({"configWrites": False, "profile": "p"}).runs


@pytest.mark.parametrize("key", ["profile", "agentId", "lane", "name"])
@pytest.mark.parametrize("value", [5, None, ["p"], "a\nb", "a\ud800"])
def test_a_text_that_is_none_or_breaks_the_line_is_an_error(key: str, value: object) -> None:
    assert f"channels.raft.accounts.a.{key}" in problems(raft({"accounts": {"a": {key: value}}}))


@pytest.mark.parametrize(
    ("key", "value"),
    [("profile", "sk_agent_0123"), ("profile", "../x y"), ("agentId", "sk_agent_0123"),
     ("agentId", "@support")],
)  # fmt: skip
def test_a_slip_in_a_name_is_refused_and_not_shown(key: str, value: str) -> None:
    told = problems(raft({"profile": "p", "agentId": "a", key: value}))
    assert list(told) == [f"channels.raft.{key}"]
    assert value not in told[f"channels.raft.{key}"]


def test_a_selected_profile_is_a_name_as_well() -> None:
    assert "RAFT_PROFILE in the environment" in problems(raft({}), {"RAFT_PROFILE": "../../x y"})
