"""What `raftsup account` makes of a config's tree."""

from __future__ import annotations

import re
from typing import Any

import pytest

from raftsup.config.json5.edit import meant
from raftsup.ops import accounts
from raftsup.ops.accounts import ChangeRefused

TREE: dict[str, Any] = {
    "channels": {
        "raft": {
            "profile": "top", "agentId": "a0", "defaultAccount": "Support",
            "accounts": {
                "Support": {"profile": "p1", "enabled": False}, "sales": {"profile": "p2"},
            },
        }
    }
}  # fmt: skip


def after(edits: Any) -> Any:
    tree: Any = TREE
    for edit in edits:
        tree = meant(tree, edit)
    return tree["channels"]["raft"]


def test_an_account_is_added_with_just_what_was_given() -> None:
    found = after(accounts.add(TREE, "new", {"profile": "p3", "agentId": None, "lane": "l"}))
    assert found["accounts"]["new"] == {"profile": "p3", "lane": "l"}


@pytest.mark.parametrize(
    ("id_", "profile", "why"),
    [
        ("support", "p3", "there is an account support already"),
        ("default", "p3", "there is an account default already"),
        ("new", "p1", "the profile p1 is that of the account support"),
        ("new", "top", "the profile top is that of the account default"),
        ("", "p3", "is no account id"),
    ],
)
def test_an_id_or_a_profile_is_taken_once(id_: str, profile: str, why: str) -> None:
    with pytest.raises(ChangeRefused, match=re.escape(why)):
        accounts.add(TREE, id_, {"profile": profile})


def test_a_removed_account_goes_by_its_id_and_is_no_default_any_more() -> None:
    found = after(accounts.remove(TREE, "support"))
    assert list(found["accounts"]) == ["sales"] and "defaultAccount" not in found


def test_the_account_default_goes_from_the_top() -> None:
    found = after(accounts.remove(TREE, "default"))
    assert found.keys() == {"defaultAccount", "accounts"}


def test_enabling_and_disabling_touch_one_word() -> None:
    assert after(accounts.enable(TREE, "support", True))["accounts"]["Support"] == {
        "profile": "p1", "enabled": True,
    }  # fmt: skip
    assert after(accounts.enable(TREE, "sales", False))["accounts"]["sales"]["enabled"] is False
    assert accounts.enable(TREE, "sales", True) == []
    assert after(accounts.enable(TREE, "default", False))["accounts"]["default"] == {
        "enabled": False
    }


def test_one_account_cannot_be_enabled_where_all_are_disabled() -> None:
    tree = {"channels": {"raft": {"enabled": False, "accounts": {"a": {"profile": "p"}}}}}
    with pytest.raises(ChangeRefused, match=r"channels\.raft\.enabled is false"):
        accounts.enable(tree, "a", True)


@pytest.mark.parametrize(
    "act", [accounts.remove, lambda tree, id_: accounts.enable(tree, id_, True)]
)
def test_an_unknown_account_is_told_with_those_that_there_are(act: Any) -> None:
    with pytest.raises(ChangeRefused, match="there are: default, support, sales"):
        act(TREE, "suport")
