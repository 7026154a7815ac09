"""The policy for an ACP agent's permission requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raftsup.runners.acp.permissions import KINDS, Answer, Policy, decide, kind_of

OPTION_KINDS = ["allow_once", "allow_always", "reject_once", "reject_always", "a_new_kind"]
kinds = st.sampled_from(sorted(KINDS))
options = st.lists(st.tuples(st.sampled_from(OPTION_KINDS), st.text(max_size=3)), max_size=6)
policies: st.SearchStrategy[Policy] = st.one_of(
    st.just("allow"), st.just("deny"), st.lists(kinds, max_size=4).map(tuple)
)


def wants(policy: Policy, kind: str) -> bool:
    return policy == "allow" or (isinstance(policy, tuple) and kind in policy)


@given(policies, kinds, options)
def test_a_tool_is_allowed_only_where_the_policy_says_so(
    policy: Policy, kind: str, offered: list[tuple[str, str]]
) -> None:
    answer = decide(policy, kind, offered)
    assert not answer.allowed or wants(policy, kind)
    if answer.option is not None:
        word = "allow" if wants(policy, kind) else "reject"
        assert any(o == answer.option and k.startswith(word) for k, o in offered)


@given(policies, kinds, options)
def test_once_is_chosen_over_always_and_nothing_where_no_option_says_it(
    policy: Policy, kind: str, offered: list[tuple[str, str]]
) -> None:
    word = "allow" if wants(policy, kind) else "reject"
    once = [o for k, o in offered if k == f"{word}_once"]
    always = [o for k, o in offered if k == f"{word}_always"]
    expected = (once + always + [None])[0]
    assert decide(policy, kind, offered).option == expected


def test_an_agent_that_offers_no_way_to_allow_was_not_allowed() -> None:
    assert decide("allow", "read", [("reject_once", "no")]) == Answer(False, None)


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text())))
def test_a_kind_that_the_protocol_does_not_have_is_other(told: object) -> None:
    kind = kind_of(told)
    assert kind in KINDS
    assert kind == told or kind == "other"
