"""The kinds of agents: what each may be given, what it takes over, and what is never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftsup.config.agent_kinds import KINDS, TOOL_KINDS, fields_of
from raftsup.config.describe import describe
from raftsup.config.errors import ExternalText
from raftsup.config.model import AcpAgent, Agent, OpenAIAgent, OpenClawAgent
from tests.unit.agent_trees import (
    ACP,
    HTTP,
    LEAST,
    OPENAI,
    OPENCLAW,
    WS,
    of,
    refused,
    tree,
)
from tests.unit.config_trees import config, problems, raft

# -- what each kind may be given


def test_every_kind_is_tested_here() -> None:
    assert set(LEAST) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_needs_no_more_than_its_kind_and_what_is_required(kind: str) -> None:
    assert of(LEAST[kind]).kind == kind


@pytest.mark.parametrize(
    ("kind", "key"), [(kind, key) for kind in KINDS for key in LEAST[kind] if key != "kind"]
)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_what_is_required_and_absent_or_blank_is_named_once(
    kind: str, key: str, value: str | None
) -> None:
    written = {**LEAST[kind], key: value}
    if value is None:
        del written[key]
    assert list(refused(written)) == [key]
    assert "write" in refused(written)[key]


@pytest.mark.parametrize(
    ("kind", "key"), [(kind, key) for kind in KINDS for key in fields_of(kind)]
)
@pytest.mark.parametrize("value", [None, 5, True, "a\0"])
def test_a_value_of_the_wrong_type_is_one_problem_at_its_key(
    kind: str, key: str, value: object
) -> None:
    assert list(refused({**LEAST[kind], key: value})) == [key]


@pytest.mark.parametrize(
    ("kind", "key", "guess"),
    [
        ("openclaw", "agentid", "agentId"),
        ("openclaw", "tls_fingerprint", "tlsFingerprint"),
        ("openclaw", "session", "sessionKey"),
        ("acp", "permission", "permissions"),
        ("openai", "apikey", "apiKey"),
        ("openai", "baseURL", "baseUrl"),
        ("openai", "header", "headers"),
    ],
)
def test_an_unknown_key_is_refused_with_a_guess(kind: str, key: str, guess: str) -> None:
    assert f'did you mean "{guess}"?' in refused({**LEAST[kind], key: "x"})[key]


def test_every_setting_of_a_gateways_agent_is_read() -> None:
    given_ = {**OPENCLAW, "agentId": " main ", "sessionKey": "s", "token": "t",
              "tlsFingerprint": "ab" * 32}  # fmt: skip
    assert of(given_) == OpenClawAgent(WS, "main", "s", token="t", tls_fingerprint="ab" * 32)
    assert of({**OPENCLAW, "password": "p"}) == OpenClawAgent(WS, password="p")


def test_every_setting_of_an_acp_agent_is_read() -> None:
    agent = {**ACP, "cwd": "/w", "env": {"K": "v"}, "permissions": ["read", "execute"]}
    assert of(agent) == AcpAgent(("agent",), "/w", {"K": "v"}, ("read", "execute"))


def test_every_setting_of_an_openai_agent_is_read() -> None:
    agent = {**OPENAI, "api": "chat", "apiKey": "k", "session": "s", "sessionHeader": "x-s",
             "headers": {"x-h": "v", "x-unset": " "}}  # fmt: skip
    assert of(agent) == OpenAIAgent(HTTP, "m", "chat", "k", "s", "x-s", {"x-h": "v"})


# -- addresses

URLS = [("openclaw", "url", "ws"), ("openai", "baseUrl", "http")]


@pytest.mark.parametrize(("kind", "key", "plain"), URLS)
@pytest.mark.parametrize(
    "rest",
    ["://127.0.0.1:1", "://127.9.9.9", "://[::1]:1/x", "://LOCALHOST:1", "://localhost.", "s://h",
     "s://10.0.0.1:1/p"],
)  # fmt: skip
def test_an_address_on_loopback_or_a_secure_one_is_taken(
    kind: str, key: str, plain: str, rest: str
) -> None:
    assert vars(of({**LEAST[kind], key: plain + rest}))[{"url": "url"}.get(key, "base_url")] == (
        plain + rest
    )


@pytest.mark.parametrize(("kind", "key", "plain"), URLS)
@pytest.mark.parametrize(
    "host", ["10.0.0.1", "gateway.lan:18789", "[fd00::1]:1", "127.0.0.1.example.com", "0.0.0.0:1"]
)
def test_a_key_is_not_sent_in_the_clear_to_another_host(
    kind: str, key: str, plain: str, host: str
) -> None:
    told = refused({**LEAST[kind], key: f"{plain}://{host}"})[key]
    assert "in the clear" in told
    assert f"write {plain}s://, or reach it by a tunnel on 127.0.0.1" in told


@pytest.mark.parametrize(("kind", "key", "plain"), URLS)
@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:18789", "ftp://127.0.0.1", "{}://", "{}://127.0.0.1:0", "{}://127.0.0.1:99999",
     "{}://127.0.0.1:x", "{}s://[::1", "{}s://two words/"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_an_example(
    kind: str, key: str, plain: str, url: str
) -> None:
    told = refused({**LEAST[kind], key: url.format(plain)})[key]
    assert f"is not a {plain}:// or {plain}s:// address" in told
    assert f'write one like "{plain}://127.0.0.1:18789' in told


@pytest.mark.parametrize(("kind", "key", "plain"), URLS)
@pytest.mark.parametrize(
    "rest", ["://me:hunter2@127.0.0.1", "s://hunter2@h", "s://h/?key=hunter2", "://h/#hunter2",
             "x://a:hunter2@h"],
)  # fmt: skip
def test_credentials_in_an_address_are_refused_and_not_repeated(
    kind: str, key: str, plain: str, rest: str
) -> None:
    told = refused({**LEAST[kind], key: plain + rest})[key]
    assert "stands in the address" in told
    assert "hunter2" not in told


def test_a_host_out_of_a_variable_is_shown_as_it_is_written() -> None:
    told = refused({**OPENCLAW, "url": "ws://${HOST}:1"}, {"HOST": "quiet.example"})["url"]
    assert "in the clear" in told
    assert "quiet" not in told and "${HOST}" in told


# -- fingerprints, permissions, headers

HEX = "0123456789abcdef" * 4
PAIRS = ":".join(HEX[i : i + 2] for i in range(0, 64, 2))


@pytest.mark.parametrize("written", [HEX, HEX.upper(), PAIRS, PAIRS.upper(), f"sha256:{PAIRS}"])
def test_a_fingerprint_is_taken_in_each_usual_form(written: str) -> None:
    agent = of({**OPENCLAW, "tlsFingerprint": written})
    assert isinstance(agent, OpenClawAgent) and agent.tls_fingerprint == HEX


@pytest.mark.parametrize("written", [HEX[:-1], HEX + "0", "g" * 64, HEX[:40], f"sha1:{HEX}"])
def test_what_is_no_sha256_fingerprint_is_refused(written: str) -> None:
    assert "64 hex digits" in refused({**OPENCLAW, "tlsFingerprint": written})["tlsFingerprint"]


def test_an_acp_agent_is_denied_what_it_asks_for_unless_the_config_allows_it() -> None:
    agent = of(ACP)
    assert isinstance(agent, AcpAgent) and agent.permissions == "deny"


@pytest.mark.parametrize("written", ["allow", "deny", list(TOOL_KINDS)])
def test_permissions_are_all_none_or_a_list_of_tool_kinds(written: Any) -> None:
    agent = of({**ACP, "permissions": written})
    wanted = tuple(written) if isinstance(written, list) else written
    assert isinstance(agent, AcpAgent) and agent.permissions == wanted


@pytest.mark.parametrize(
    ("written", "key", "advice"),
    [
        ("ask", "permissions", 'write "allow", "deny" or a list'),
        ([], "permissions", 'write "allow", "deny" or a list'),
        ({"read": True}, "permissions", 'write "allow", "deny" or a list'),
        (["read", "write"], "permissions[1]", '"edit"'),
        (["allow"], "permissions[0]", '"read"'),
    ],
)
def test_other_permissions_are_refused(written: object, key: str, advice: str) -> None:
    found = refused({**ACP, "permissions": written})
    assert list(found) == [key]
    assert advice in found[key]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "x\n"])
def test_a_header_has_a_name_that_http_can_carry(name: str) -> None:
    found = problems(tree({**OPENAI, "headers": {name: "v"}}))
    assert "is not a valid name of an HTTP header" in next(iter(found.values()))
    if name.strip():
        assert list(refused({**OPENAI, "sessionHeader": f"x{name}y"})) == ["sessionHeader"]


def test_a_key_that_http_cannot_carry_is_refused_and_not_repeated() -> None:
    found = refused({**OPENAI, "apiKey": "schlüssel", "headers": {"x-k": "schlüssel"}})
    assert set(found) == {"apiKey", "headers.x-k"}
    assert "schl" not in str(found)


# -- keys in files, and two settings that say the same


def test_a_key_is_read_from_its_file_trimmed_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("  sk-1234567890\n")
    agent = of({**OPENAI, "apiKeyFile": str(file)})
    assert isinstance(agent, OpenAIAgent) and agent.api_key == "sk-1234567890"
    held = config(tree({**OPENAI, "apiKeyFile": str(file)}))
    assert "sk-1234567890" not in json.dumps(describe(held)) + repr(held)


def test_a_key_file_in_the_home_folder_may_be_written_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text("k")
    agent = of({**OPENAI, "apiKeyFile": "~/key"})
    assert isinstance(agent, OpenAIAgent) and agent.api_key == "k"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (b"", "holds no key"),
        (b" \n", "holds no key"),
        (b"one\ntwo\n", "holds no key: one line"),
        (b"two words", "holds no key"),
        (b"\xff\xfe", "it is not UTF-8"),
    ],
)
def test_a_key_file_without_a_key_is_refused_without_a_word_of_it(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    found = refused({**OPENAI, "apiKeyFile": str(file)})
    assert list(found) == ["apiKeyFile"]
    assert told in found["apiKeyFile"]
    assert "words" not in found["apiKeyFile"].replace(str(file), "")


def test_a_folder_or_a_relative_path_is_no_key_file(tmp_path: Path) -> None:
    assert "cannot read" in refused({**OPENAI, "apiKeyFile": str(tmp_path)})["apiKeyFile"]
    assert "not an absolute path" in refused({**OPENAI, "apiKeyFile": "key"})["apiKeyFile"]


@pytest.mark.parametrize(
    ("agent", "one", "other"),
    [(OPENCLAW, "token", "password"), (OPENAI, "apiKey", "apiKeyFile")],
)
def test_two_settings_that_say_the_same_are_refused(
    tmp_path: Path, agent: dict[str, Any], one: str, other: str
) -> None:
    (tmp_path / "key").write_text("k")
    found = refused({**agent, one: "k", other: str(tmp_path / "key")})
    assert found == {other: f"{one} is set as well; keep one of them"}


# -- activity


def test_activity_is_the_accounts_own_else_the_channels_else_off() -> None:
    accounts = {"a": {"profile": "p", "activity": "off"}, "b": {"profile": "q"}}
    held = config(raft({"activity": "turns", "accounts": accounts}))
    assert [a.activity for a in held.accounts] == ["off", "turns"]
    assert config(raft({"accounts": accounts})).accounts[1].activity == "off"
    found = problems(raft({"activity": "on", "accounts": accounts}))
    assert 'write one of "off", "turns"' in found["channels.raft.activity"]


# -- what is never shown

_keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=40)
# Twelve characters that are no part of anything else that is shown.
_secrets = _keys.map(lambda text: f"s3cret{text}").filter(lambda text: "${" not in text)


@settings(deadline=None)
@given(_secrets, st.sampled_from(["token", "password", "apiKey", "headers", "env", "acp env"]))
def test_no_description_and_no_repr_shows_a_key(secret: str, where: str) -> None:
    agent = {
        "token": {**OPENCLAW, "token": secret},
        "password": {**OPENCLAW, "password": secret},
        "apiKey": {**OPENAI, "apiKey": secret},
        "headers": {**OPENAI, "headers": {"authorization": secret}},
        "env": {**LEAST["command"], "env": {"K": secret}},
        "acp env": {**ACP, "env": {"K": secret}},
    }[where]
    held = config(tree(agent))
    assert secret in [*vars(held.accounts[0].agent).values(), *_inner(held.accounts[0].agent)]
    told = json.dumps(describe(held)) + repr(held) + str(held)
    assert "s3cret" not in told
    assert "***" in json.dumps(describe(held))


def _inner(agent: Agent | None) -> list[str]:
    held = {**getattr(agent, "env", {}), **getattr(agent, "headers", {})}
    return list(held.values())


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ({**OPENCLAW, "token": "${KEY}"}, "token"),
        ({**OPENCLAW, "password": "a-${KEY}"}, "password"),
        ({**OPENAI, "apiKey": "${KEY}"}, "apiKey"),
    ],
)
def test_a_key_that_is_written_as_a_variable_is_described_as_it_is_written(
    agent: dict[str, Any], name: str
) -> None:
    held = config(tree(agent), {"KEY": "s3cret"})
    shown = describe(held)["accounts"][0]["agent"][name]
    assert "${KEY}" in shown
    assert "s3cret" not in shown + repr(held)
    assert any(isinstance(value, ExternalText) for value in vars(held.accounts[0].agent).values())


def test_accounts_that_share_a_gateways_session_must_share_a_lane() -> None:
    agent = {"kind": "openclaw", "url": "ws://127.0.0.1:1", "token": "t", "sessionKey": "main"}
    both: dict[str, Any] = {"a": {"profile": "a"}, "b": {"profile": "b"}}
    found = problems(raft({"accounts": both}, turns={"agent": agent}))
    assert 'write lane: "a"' in found["channels.raft.accounts.b.lane"]
    both["b"]["lane"] = "a"
    assert len(config(raft({"accounts": both}, turns={"agent": agent})).accounts) == 2


def test_a_lane_holds_one_acp_agent() -> None:
    accounts = {
        name: {"profile": name, "lane": "one", "agent": {"kind": "acp", "command": [name]}}
        for name in ("a", "b")
    }
    found = problems(raft({"accounts": accounts}))
    assert "another ACP agent" in found["channels.raft.accounts.b.lane"]
