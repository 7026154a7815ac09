"""The account that a person means on the command line."""

from __future__ import annotations

import pytest

from raftsup.cli.context import account_id


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("support", "support"), ("Support", "support"), ("sales team", "sales-team")],
)
def test_an_account_is_found_however_its_id_is_typed(typed: str, meant: str) -> None:
    assert account_id(typed) == meant


def test_what_can_be_no_id_is_left_to_be_named_in_the_refusal() -> None:
    assert account_id("!!!") == "!!!"
