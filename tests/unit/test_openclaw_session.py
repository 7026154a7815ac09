"""The Gateway's session of a lane."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raftsup.config.model import OpenClawAgent
from raftsup.runners.openclaw.mapping import key_of

AGENT = OpenClawAgent("ws://127.0.0.1:1")
SUPPORT = key_of(AGENT, "Support", "main").rpartition(":")[2]


@pytest.mark.parametrize(
    ("agent_id", "session_key", "key"),
    [
        (None, None, "agent:main:raft:support"),
        ("sales", None, "agent:sales:raft:support"),
        (None, "desk", "agent:main:desk"),
        ("sales", "desk", "agent:sales:desk"),
        ("sales", "agent:main:desk", "agent:main:desk"),
    ],
)
def test_the_key_names_agent_and_lane_unless_the_config_names_one(
    agent_id: str | None, session_key: str | None, key: str
) -> None:
    agent = OpenClawAgent("ws://127.0.0.1:1", agent_id, session_key)
    assert key_of(agent, "support", "main") == key


@given(st.text(min_size=1), st.text(min_size=1))
@example("Support", SUPPORT)  # what the one is turned into is no name for another
@example("Support", "support")
@example("two words", "two-words")
@example("a:b", "a b")
def test_no_two_lanes_share_a_session(one: str, other: str) -> None:
    same = key_of(AGENT, one, "main") == key_of(AGENT, other, "main")
    assert same == (one == other)


@given(st.text(min_size=1))
def test_a_key_is_in_the_gateways_own_spelling(lane: str) -> None:
    key = key_of(AGENT, lane, "main")
    assert key == key.lower() and key.isascii() and key.isprintable() and " " not in key
    assert key.count(":") == 3
