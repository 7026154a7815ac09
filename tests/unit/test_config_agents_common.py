"""What an account's agent takes over: from turns.agent, and a token from the environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raftsup.config.agent_kinds import KINDS
from raftsup.config.describe import describe
from raftsup.config.model import OpenAIAgent, OpenClawAgent
from tests.unit.agent_trees import (
    LEAST,
    OPENAI,
    OPENCLAW,
    PLACE,
    WS,
    of,
    tree,
)
from tests.unit.config_trees import config, problems


def test_an_agent_without_a_kind_is_that_of_turns_with_its_own_keys_in_place() -> None:
    common = {**OPENCLAW, "agentId": "main", "token": "t"}
    assert of({"agentId": "sales"}, common=common) == OpenClawAgent(WS, "sales", token="t")
    assert of({}, common=common) == of(None, common=common)


def test_an_agent_with_a_kind_takes_nothing_over() -> None:
    common = {**OPENCLAW, "agentId": "main"}
    assert of({**OPENCLAW, "url": "ws://[::1]:1"}, common=common) == OpenClawAgent("ws://[::1]:1")


def test_the_default_accounts_agent_at_the_top_takes_over_too() -> None:
    channel = {"profile": "p", "agent": {"agentId": "sales"}}
    held = config({"channels": {"raft": channel}, "turns": {"agent": OPENCLAW}})
    assert held.accounts[0].agent == OpenClawAgent(WS, "sales")


def test_an_own_password_stands_in_place_of_the_common_token(tmp_path: Path) -> None:
    common = {**OPENCLAW, "token": "t"}
    assert of({"password": "p"}, common=common) == OpenClawAgent(WS, password="p")
    (tmp_path / "key").write_text("own")
    agent = of({"apiKeyFile": str(tmp_path / "key")}, common={**OPENAI, "apiKey": "common"})
    assert isinstance(agent, OpenAIAgent) and agent.api_key == "own"


def test_without_an_agent_of_turns_there_is_nothing_to_take_over() -> None:
    told = problems(tree({"agentId": "sales"}))
    assert list(told) == [f"{PLACE}.kind"]
    assert '"openclaw", or write turns.agent, which this changes' in told[f"{PLACE}.kind"]


def test_an_agent_of_turns_without_a_kind_is_told_of_once() -> None:
    told = problems(tree({"agentId": "sales"}, common={"url": WS}))
    assert list(told) == ["turns.agent.kind"]
    assert "write turns.agent" not in told["turns.agent.kind"]


@pytest.mark.parametrize(
    ("common", "path"),
    [
        ({"kind": "openclaw", "url": "http://h"}, "turns.agent.url"),
        ({"kind": "openclaw"}, "turns.agent.url"),
        ({"kind": "opnclaw"}, "turns.agent.kind"),
        ({**OPENCLAW, "tokn": "t"}, "turns.agent.tokn"),
        ("claude", "turns.agent"),
    ],
)
def test_what_is_wrong_with_the_agent_of_turns_is_told_there_alone(
    common: object, path: str
) -> None:
    found = problems(tree({"agentId": "sales"}, common=common))
    found.pop(f"{PLACE}.kind", None)  # where there is nothing at all to take over
    assert list(found) == [path]


def test_what_an_account_changes_wrongly_is_told_at_the_account() -> None:
    found = problems(tree({"url": "ws://far"}, common=OPENCLAW))
    assert list(found) == [f"{PLACE}.url"]


def test_a_key_of_another_kind_says_which_kind_is_taken_over() -> None:
    found = problems(tree({"agentId": "sales"}, common=LEAST["command"]))
    told = found[f"{PLACE}.agentId"]
    assert 'unknown key of the kind "command", which is that of turns.agent' in told


ENVIRON = {"OPENCLAW_GATEWAY_TOKEN": " gateway-token-77 "}


@pytest.mark.parametrize("where", ["account", "turns", "top", "changed"])
def test_a_gateway_without_credentials_has_those_of_the_environment(where: str) -> None:
    if where == "top":
        whole = {"channels": {"raft": {"profile": "p", "agent": OPENCLAW}}}
        agent = config(whole, ENVIRON).accounts[0].agent
    elif where == "changed":
        agent = of({"agentId": "x"}, ENVIRON, common=OPENCLAW)
    else:
        agent = of(*((OPENCLAW, ENVIRON) if where == "account" else (None, ENVIRON, OPENCLAW)))
    assert isinstance(agent, OpenClawAgent) and agent.token == "gateway-token-77"


@pytest.mark.parametrize("own", [{"token": "own"}, {"password": "own"}])
@pytest.mark.parametrize("changed", [False, True])
def test_written_credentials_are_not_replaced_by_the_environment(
    own: dict[str, Any], changed: bool
) -> None:
    agent = of(own, ENVIRON, common=OPENCLAW) if changed else of({**OPENCLAW, **own}, ENVIRON)
    assert agent == OpenClawAgent(WS, **own)


def test_the_environments_token_goes_to_no_other_kind_of_agent() -> None:
    for kind in set(KINDS) - {"openclaw"}:
        assert of(LEAST[kind], ENVIRON) == of(LEAST[kind])


def test_an_empty_token_in_the_environment_is_none() -> None:
    assert of(OPENCLAW, {"OPENCLAW_GATEWAY_TOKEN": " "}) == OpenClawAgent(WS)


def test_the_environments_token_is_shown_by_its_variables_name() -> None:
    held = config(tree(OPENCLAW), ENVIRON)
    described = describe(held)["accounts"][0]["agent"]
    assert described["token"] == "${OPENCLAW_GATEWAY_TOKEN}"
    assert "gateway-token-77" not in json.dumps(describe(held)) + repr(held)
