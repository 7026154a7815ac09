from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftsup.config.agent_kinds import fields_of
from raftsup.config.describe import describe
from raftsup.config.errors import ConfigError
from raftsup.config.model import CommandAgent
from raftsup.config.schema import ACCOUNT, CHANNEL, SECTIONS
from tests.unit.config_trees import config, problems, raft

SECRET = "Hunter2-Hunter2"
ENVIRON = {"SECRET": SECRET, "EMPTY": "", "OPENCLAW_GATEWAY_TOKEN": SECRET}

# The parser is slow on purpose-made trees: no test here is about time.
relaxed = settings(deadline=None, max_examples=200)

_keys = st.sampled_from(
    [*CHANNEL, "channels", "raft", "kind", "cwd", "env", "support", "K", "", "a b"]
    + [*SECTIONS, *(key for section in SECTIONS.values() for key in section.settings)]
)
_leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["command", "10m", "1GiB", "${SECRET}", "x${SECRET}${EMPTY}", "$${", "${",
                       "~/${SECRET}", "${SECRET}\n", "/${SECRET}"])
)  # fmt: skip
_anything = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_keys | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
_texts = st.sampled_from(["p", "q", "r", "", "${SECRET}", "x-${SECRET}", "$${SECRET}"])
_argv = st.lists(st.sampled_from(["a", "--key=${SECRET}"]), min_size=1, max_size=2)
_process = {"cwd": st.just("/${SECRET}"), "env": st.dictionaries(st.just("K"), _texts)}
_addresses = st.sampled_from(
    ["ws://127.0.0.1:1", "wss://${SECRET}", "http://[::1]/v1", "https://a/${SECRET}",
     "ws://${SECRET}", "http://u:${SECRET}@a", "${SECRET}"]
)  # fmt: skip
_agents = (
    st.fixed_dictionaries({"kind": st.just("command"), "command": _argv}, optional=_process)
    | st.fixed_dictionaries(
        {"kind": st.just("acp"), "command": _argv},
        optional={**_process, "permissions": _texts | st.sampled_from(["allow", ["read"]])},
    )
    | st.fixed_dictionaries(
        {"kind": st.just("openclaw"), "url": _addresses},
        optional=dict.fromkeys(fields_of("openclaw")[1:], _texts),
    )
    | st.fixed_dictionaries(
        {"kind": st.just("openai"), "baseUrl": _addresses, "model": _texts},
        optional={
            **dict.fromkeys(fields_of("openai")[3:], _texts),
            "headers": st.dictionaries(st.just("x-k"), _texts),
        },
    )
    # No kind: turns.agent, changed.
    | st.fixed_dictionaries({}, optional={"cwd": st.just("/${SECRET}"), "token": _texts})
)
#: What fits each key; everything else is a text.
_fitting = {"enabled": st.booleans(), "configWrites": st.booleans(), "agent": _agents,
            "activity": st.just("turns"), "command": _argv}  # fmt: skip
_ids = st.sampled_from(["support", "Support", "default", "a b", "${SECRET}"])


def _channels(values: Any) -> Any:
    """Channels with ``values(key)`` for each key."""
    account = st.fixed_dictionaries({}, optional={key: values(key) for key in ACCOUNT})
    return st.fixed_dictionaries(
        {"accounts": st.dictionaries(_ids, account, max_size=3)},
        optional={key: values(key) for key in CHANNEL if key != "accounts"},
    )


def _tree(channel: Any, value: Any) -> Any:
    sections: dict[str, Any] = {
        name: st.fixed_dictionaries({}, optional=dict.fromkeys(section.settings, value))
        for name, section in SECTIONS.items()
    }
    channels = st.fixed_dictionaries({"raft": channel})
    return st.fixed_dictionaries({"channels": channels}, optional=sections)


_right = _channels(lambda key: _fitting.get(key, _texts)).map(raft)
_nearly = _tree(_channels(lambda key: _fitting.get(key, _texts) | _anything), _anything)
_trees = _anything | _nearly | _right


@relaxed
@given(_trees, st.dictionaries(st.sampled_from(["turns.keep", "x", "a\nb"]), st.text(max_size=3)))
def test_any_tree_loads_or_is_refused_and_no_secret_is_told(
    tree: object, flags: dict[str, str]
) -> None:
    try:
        held = config(tree, ENVIRON, flags)
    except ConfigError as error:
        told = str(error)
        assert error.problems
        assert len(told.splitlines()) == len(error.problems)
    else:
        told = json.dumps(describe(held)) + "".join(str(a.problem) for a in held.accounts)
    assert SECRET.lower() not in told.lower()


def test_a_variable_is_filled_in_wherever_a_text_may_stand() -> None:
    agent = {"kind": "command", "command": ["run", "--in=${DIR}"], "env": {"K": "a${SECRET}b"}}
    held = config(raft({"profile": "${P}", "agent": agent}), {**ENVIRON, "DIR": "/d", "P": " p "})
    account = held.accounts[0]
    assert account.profile == "p"
    assert isinstance(account.agent, CommandAgent)
    assert account.agent.command == ("run", "--in=/d")
    assert account.agent.env == {"K": f"a{SECRET}b"}


def test_a_doubled_dollar_writes_a_literal_brace() -> None:
    agent = {"kind": "command", "command": ["a", "$${SECRET} $$ $X {notice}"]}
    held = config(raft({"profile": "p", "agent": agent}), ENVIRON).accounts[0].agent
    assert isinstance(held, CommandAgent) and held.command[1] == "${SECRET} $$ $X {notice}"


@pytest.mark.parametrize(
    ("text", "told"),
    [("x${SECRET}${GONE}", "GONE is not set"), ("x${EMPTY}", "EMPTY is empty"),
     ("${SECRET", "does not begin a variable"), ("${a b}", "does not begin a variable")],
)  # fmt: skip
def test_a_variable_without_a_value_is_an_error_at_its_path(text: str, told: str) -> None:
    agent = {"kind": "command", "command": ["a", text]}
    found = problems(raft({"profile": "p", "agent": agent}), ENVIRON)
    assert list(found) == ["channels.raft.agent.command[1]"]
    assert told in found["channels.raft.agent.command[1]"]


def test_a_variable_without_a_value_is_the_only_problem_of_its_setting() -> None:
    assert "GONE" in problems(raft({"profile": "p"}, dedupe={"ttl": "${GONE}"}))["dedupe.ttl"]


def test_a_filled_in_text_is_not_filled_in_again() -> None:
    held = config(raft({"profile": "${P}"}), {"P": "${SECRET}", **ENVIRON})
    assert held.accounts[0].profile == "${SECRET}"


def test_an_error_shows_a_variable_as_it_is_written() -> None:
    tree = raft({"profile": "p", "defaultAccount": "${SECRET}"}, dedupe={"ttl": "${SECRET}"})
    found = problems(tree, ENVIRON)
    assert set(found) == {"dedupe.ttl", "channels.raft.defaultAccount"}
    assert all('"${SECRET}"' in told for told in found.values())


def test_a_description_has_the_keys_of_the_file() -> None:
    described = describe(config(raft({"profile": "p"})))
    for name, section in SECTIONS.items():
        assert described[name].keys() == section.settings.keys()


def test_a_description_masks_the_agents_environment_and_shows_variables_as_written() -> None:
    agent = {"kind": "command", "command": ["a", "--key=${SECRET}"], "env": {"K": "literal"}}
    held = config(raft({"profile": "p", "agent": agent}), ENVIRON)
    described = describe(held)
    account = described["accounts"][0]
    assert account["agent"]["env"] == {"K": "***"}
    assert account["agent"]["command"] == ["a", "--key=${SECRET}"]
    assert described["turns"]["timeout"] == 600.0
    json.dumps(described)


def test_a_text_from_outside_is_the_same_text_after_a_copy_to_another_process() -> None:
    profile = config(raft({"profile": "${SECRET}"}), ENVIRON).accounts[0].profile
    copied = pickle.loads(pickle.dumps(profile))
    assert copied == SECRET and copied.written == "${SECRET}"


def test_a_config_loaded_twice_is_equal() -> None:
    tree = raft({"profile": "p", "agent": {"kind": "command", "command": ["a"],
                                           "env": {"K": "${SECRET}"}}})  # fmt: skip
    first, second = config(tree, ENVIRON), config(tree, ENVIRON)
    assert first.accounts == second.accounts
    assert first.accounts != config(tree, {"SECRET": "other"}).accounts
