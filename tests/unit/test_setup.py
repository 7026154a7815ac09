"""What setup decides: ids, edits, what is taken over of OpenClaw, and who is asked what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from raftsup.config.json5.edit import edited
from raftsup.config.load import load_text
from raftsup.config.reader import parse
from raftsup.ops.accounts import ChangeRefused
from raftsup.ops.setup import openclaw, plan
from raftsup.ops.setup.agents import KINDS, ask_agent
from raftsup.ops.setup.plan import TEMPLATE, Entry
from raftsup.ops.setup.prompts import Missing, Unasked, Wrong, anything

FILE = Path("raftsup.json5")
AGENT = {"kind": "command", "command": ["x"]}


class Answers:
    """A person whose answers are known."""

    person = True

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.said = ""
        self.done: list[str] = []

    def text(self, question: str, default: str | None, flag: str, wrong: Wrong = anything) -> str:
        given = self.answers.pop(0)
        return given or str(default)

    def sure(self, question: str, *, default: bool, unasked: bool) -> bool:
        return self.answers.pop(0) == "y"

    def choose(self, question: str, options: Sequence[str], default: int, flag: str) -> int:
        return int(self.answers.pop(0)) - 1

    def secret(self, question: str, flag: str) -> str:
        return self.answers.pop(0)

    def say(self, text: str = "") -> None:
        self.said += text + "\n"

    def about(self, subject: str) -> None: ...

    def again(self) -> None: ...

    def keep(self, question: str, answer: str) -> None: ...


def made(entries: Sequence[Entry], text: str = TEMPLATE, command: Any = None) -> str:
    return edited(text, plan.edits(parse(text, FILE), entries, command), FILE)


def test_the_first_agent_takes_the_turns_of_all_and_another_one_its_own() -> None:
    text = made([Entry("a", "pa", "ia", AGENT)])
    text = made([Entry("b", "pb", "ib")], text)
    text = made([Entry("c", "pc", "ic", {"kind": "command", "command": ["y"]})], text)
    tree: Any = parse(text, FILE)
    assert tree["turns"]["agent"] == AGENT
    assert tree["channels"]["raft"]["accounts"]["a"] == {"profile": "pa", "agentId": "ia"}
    assert "agent" not in tree["channels"]["raft"]["accounts"]["b"]
    config = load_text(text, FILE, {})
    assert [a.agent.command for a in config.accounts if a.agent] == [("x",), ("x",), ("y",)]  # type: ignore[union-attr]
    assert all(line in text for line in TEMPLATE.splitlines() if "//" in line)


def test_the_raft_cli_is_written_only_where_it_is_another_than_the_configs() -> None:
    entry = Entry("a", "pa", "ia", AGENT)
    assert 'command: ["raft"]' not in made([entry], command=["raft"])
    text = made([entry], command=["/opt/raft"])
    assert parse(text, FILE)["channels"]["raft"]["command"] == ["/opt/raft"]  # type: ignore[index]
    assert made([entry], text, ["/opt/raft"]) == text, "the second time changes nothing"


@pytest.mark.parametrize(
    ("profile", "id_"), [("support-agent", "support"), ("Main", "main"), ("-agent", "default")]
)
def test_an_id_is_proposed_after_the_profile(profile: str, id_: str) -> None:
    assert plan.proposed_id(profile) == id_


def test_the_last_words_name_each_unset_variable_first() -> None:
    words = plan.next_words(["KEY"], FILE, runs=False)
    assert words[1] == "  export KEY=..." and words[-1] == "  raftsup up -d && raftsup status"
    assert plan.next_words([], FILE, runs=True) == ["Next:", "  raftsup status"]
    assert "has not these variables" in plan.next_words(["KEY"], FILE, runs=True)[-1]


@pytest.mark.parametrize(
    ("answers", "agent"),
    [
        (["1", "claude -p 'a b'", "~/x", "KEY OTHER"],
         {"kind": "command", "command": ["claude", "-p", "a b"], "cwd": "~/x",
          "env": {"KEY": "${KEY}", "OTHER": "${OTHER}"}}),
        (["2", "", "", ""],
         {"kind": "openclaw", "url": "ws://127.0.0.1:18789", "token": "${OPENCLAW_GATEWAY_TOKEN}"}),
        # A value is not taken for a name, and not kept.
        (["2", "", "sales", "sk-secret", "TOKEN"],
         {"kind": "openclaw", "url": "ws://127.0.0.1:18789", "agentId": "sales",
          "token": "${TOKEN}"}),
        (["3", "gemini --experimental-acp", "execute,read", "", ""],
         {"kind": "acp", "command": ["gemini", "--experimental-acp"],
          "permissions": ["execute", "read"]}),
        (["3", "x", "everything", "allow", "", ""],
         {"kind": "acp", "command": ["x"], "permissions": "allow"}),
        (["4", "", "m", "2", "KEY"],
         {"kind": "openai", "baseUrl": "http://127.0.0.1:18789/v1", "model": "m", "api": "chat",
          "apiKey": "${KEY}"}),
    ],
)  # fmt: skip
def test_the_questions_of_each_kind_lead_to_an_agent(
    answers: list[str], agent: dict[str, Any]
) -> None:
    ask = Answers(*answers)
    found = ask_agent(ask, None)
    assert found is not None and not ask.answers
    text = made([Entry("a", "pa", "ia", found)])
    variables = dict.fromkeys(("KEY", "OTHER", "TOKEN", "OPENCLAW_GATEWAY_TOKEN"), "v")
    assert load_text(text, FILE, variables).accounts[0].problem is None
    assert {k: v for k, v in found.items() if v} == agent
    assert "sk-secret" not in ask.said + text


def test_an_agent_that_is_there_is_kept_where_none_is_named() -> None:
    single = {"profile": "p", "agent": AGENT}
    raft = {**single, "accounts": {"own": {"profile": "o", "agent": {"agentId": "x"}}}}
    tree: dict[str, Any] = {"channels": {"raft": raft}, "turns": {"agent": AGENT}}
    assert plan.kept_agent(tree, "default") == "the one that it has (command)"
    assert plan.kept_agent(tree, "own") == "the one that it has (command)"
    assert plan.kept_agent(tree, "new") == "the same as the other accounts (command)"
    assert plan.kept_agent({"channels": {"raft": single}}, "new") is None


def test_the_account_at_the_top_stays_at_the_top() -> None:
    text = "{ channels: { raft: { profile: 'p', agent: { kind: 'command', command: ['x'] } } } }"
    after = made([Entry("default", "p", "id")], text)
    assert after == text.replace(" } } } }", ' }, agentId: "id" } } }')


@pytest.mark.parametrize("written", [[1], "raft", [], None])
def test_a_raft_cli_that_cannot_be_one_counts_for_nothing(written: Any) -> None:
    assert plan.usual_command({"channels": {"raft": {"command": written}}}) == ["raft"]


@pytest.mark.parametrize("text", [None, "", " \n\n"])
def test_an_empty_file_is_begun_as_one_that_is_not_there(text: str | None) -> None:
    assert plan.begun(text) == TEMPLATE
    assert plan.begun("{}") == "{}"


def test_every_kind_can_be_asked_for() -> None:
    assert set(KINDS) == {"command", "openclaw", "acp", "openai"}


def test_nobody_is_asked_where_yes_was_said() -> None:
    with pytest.raises(Missing, match="--agent"):
        ask_agent(Unasked(), None)
    assert ask_agent(Unasked(), "command") is None


GATEWAY = {"port": 19001, "auth": {"mode": "token", "token": "${MY_TOKEN}"}}
OPENCLAW: dict[str, Any] = {
    "gateway": GATEWAY,
    "channels": {"raft": {
        "enabled": True, "profile": "main", "defaultAccount": "support",
        "accounts": {"support": {"profile": "s", "name": "Support"}, "half": {},
                     "off": {"profile": "o", "enabled": False}},
    }},
    "bindings": [
        {"agentId": "desk", "match": {"channel": "raft", "accountId": "support"}},
        {"agentId": "other", "match": {"channel": "slack", "accountId": "off"}},
        {"agentId": "boss", "match": {"channel": "raft"}},
    ],
}  # fmt: skip


def test_openclaws_accounts_are_taken_over_with_their_agents() -> None:
    taken = openclaw.take_over(OPENCLAW)
    assert [(a.id, a.profile, a.agent) for a in taken.accounts] == [
        ("default", "main", None), ("support", "s", "desk"), ("off", "o", None),
    ]  # fmt: skip
    assert taken.accounts[1].more == {"name": "Support"}
    assert taken.accounts[2].more == {"enabled": False}
    assert taken.agent == {
        "kind": "openclaw", "url": "ws://127.0.0.1:19001", "token": "${MY_TOKEN}",
        "agentId": "boss",
    }  # fmt: skip
    assert taken.default_account == "support" and taken.plugin_on and not taken.literal
    assert "half has no profile" in taken.notes[0]


@pytest.mark.parametrize(
    ("gateway", "url", "variable", "literal"),
    [
        ({}, "ws://127.0.0.1:18789", "OPENCLAW_GATEWAY_TOKEN", False),
        ({"auth": {"token": "planted"}}, "ws://127.0.0.1:18789", "OPENCLAW_GATEWAY_TOKEN", True),
        ({"auth": {"token": {"source": "env", "id": "T"}}}, "ws://127.0.0.1:18789", "T", False),
        ({"auth": {"mode": "password", "password": "planted"}}, "ws://127.0.0.1:18789",
         "OPENCLAW_GATEWAY_PASSWORD", True),
        ({"auth": {"mode": "none"}}, "ws://127.0.0.1:18789", None, False),
        ({"tls": {"enabled": True}, "port": 1}, "wss://127.0.0.1:1", "OPENCLAW_GATEWAY_TOKEN",
         False),
        ({"mode": "remote", "remote": {"url": "wss://far", "token": "planted"}}, "wss://far",
         "OPENCLAW_GATEWAY_TOKEN", True),
    ],
)  # fmt: skip
def test_the_gateways_address_is_taken_over_and_never_its_secret(
    gateway: Any, url: str, variable: str | None, literal: bool
) -> None:
    tree = {**OPENCLAW, "gateway": gateway}
    taken = openclaw.take_over(tree)
    assert (taken.agent["url"], taken.variable, taken.literal) == (url, variable, literal)
    assert "planted" not in json.dumps(taken.agent) + repr(taken)
    assert openclaw.secret_in(tree, taken) == ({variable: "planted"} if literal else {})


@pytest.mark.parametrize(
    "off", [{"channels": {"raft": {"enabled": False, "profile": "p"}}},
            {**OPENCLAW, "plugins": {"entries": {"raft": {"enabled": False}}}}],
)  # fmt: skip
def test_a_plugin_that_is_off_already_is_seen(off: Any) -> None:
    assert not openclaw.take_over(off).plugin_on


def test_an_openclaw_without_raft_is_refused() -> None:
    with pytest.raises(ChangeRefused, match=r"no account with a profile in channels\.raft$"):
        openclaw.take_over({"gateway": GATEWAY})
    with pytest.raises(ChangeRefused, match=r"\$include is not followed"):
        openclaw.take_over({"channels": {"$include": "./channels.json5"}})


def test_openclaws_file_is_found_as_openclaw_finds_it() -> None:
    home = {"HOME": "/h"}
    assert openclaw.usual_path(home) == Path("/h/.openclaw/openclaw.json")
    assert openclaw.usual_path({**home, "OPENCLAW_STATE_DIR": "/s"}) == Path("/s/openclaw.json")
    assert openclaw.usual_path({**home, "OPENCLAW_CONFIG_PATH": "/c.json"}) == Path("/c.json")


def test_only_new_lines_of_the_file_are_shown_and_those_that_go_are_counted() -> None:
    assert plan.difference("a\nkey: 'secret'\n", "a\nb\n") == (["b"], 1)
