"""What may name a profile, an agent and a server, and what is a slip of the hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.raft_names import wrong_agent_id, wrong_profile, wrong_server

TOKEN = "sk_agent_0123456789abcdef"


@pytest.mark.parametrize("name", ["support", "Support Desk", "a.b-c_d", "größe", "5"])
def test_a_profile_is_a_folder_s_name(name: str) -> None:
    assert wrong_profile(name) is None


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../../x y", "a/b", "a\\b", "-p", "https://app.raft.build", TOKEN,
     "two\nlines", "x" * 256],
)  # fmt: skip
def test_what_is_no_profile_s_name(name: str) -> None:
    assert wrong_profile(name)


@pytest.mark.parametrize("name", ["agent-1", "01HZX", "8a6e0804-2bd0-4672-b79d-d97027f9071a"])
def test_an_agent_s_id_is_a_word(name: str) -> None:
    assert wrong_agent_id(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "@support", "#general", "two words", "a/b", "https://x.invalid", "--json", TOKEN],
)
def test_what_is_no_agent_s_id(name: str) -> None:
    assert wrong_agent_id(name)


@pytest.mark.parametrize(
    "url", ["https://app.raft.build", "http://127.0.0.1:8790", "http://[::1]:1/raft"]
)
def test_a_server_s_address(url: str) -> None:
    assert wrong_server(url) is None


@pytest.mark.parametrize(
    "url",
    ["", "support", "app.raft.build", "ftp://x.invalid", "https://", "https://u:p@x.invalid",
     "https://x.invalid:99999", "https://x invalid", "http://[::1", TOKEN],
)  # fmt: skip
def test_what_is_no_server_s_address(url: str) -> None:
    assert wrong_server(url)


@given(st.text())
def test_no_refusal_shows_what_was_typed(text: str) -> None:
    secret = f"sk_agent_{text}"
    for wrong in (wrong_profile, wrong_agent_id, wrong_server):
        told = wrong(secret)
        assert told is not None
        assert secret not in told
