"""What the Raft CLI prints when it fails is read, and each of its codes has an advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup import raft_errors
from raftsup.raft_errors import CODES, Said, Who

WHO = Who("o'hara", ("npx", "raft"), "agent-1", "https://raft.invalid")


def test_an_error_is_read_with_its_lock_wherever_it_stands() -> None:
    said = raft_errors.parse(
        "bridge: transient failure\n"
        "Error: raft agent bridge is already running.\n"
        "Code: BRIDGE_ALREADY_RUNNING\n"
        "Next action: Stop the existing bridge. Lock: /a b/agent-comms-core/x/bridge.lock\n"
    )
    assert said == Said(
        "raft agent bridge is already running.",
        "BRIDGE_ALREADY_RUNNING",
        "Stop the existing bridge. Lock: /a b/agent-comms-core/x/bridge.lock",
        Path("/a b/agent-comms-core/x/bridge.lock"),
    )


def test_the_last_error_counts() -> None:
    said = raft_errors.parse("Error: one\nCode: INVALID_ARG\nError: two\n")
    assert (said.message, said.code) == ("two", "")


@given(st.text())
def test_whatever_is_printed_is_read_and_harmless(text: str) -> None:
    said = raft_errors.parse(f"Error: {text}\nCode: {text}")
    assert said.message.isprintable() and len(said.message) <= 201
    assert not said.code or re.fullmatch(r"\w{3,64}", said.code)


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_a_meaning_and_commands_that_exist(code: str) -> None:
    means, fix = raft_errors.advice(code, WHO)
    assert means and "{" not in means + fix
    for command in re.findall(r"`([^`]+)`", means + fix):
        assert re.match(r"npm i -g |raftsup (restart|logs|doctor|turn run)|npx raft ", command), (
            command
        )
    if CODES[code].lasting:
        assert fix, "who must do something is told what"


def test_the_command_that_signs_in_is_quoted_and_what_is_unknown_is_asked_for() -> None:
    assert WHO.login == (
        "npx raft agent login --server https://raft.invalid --agent agent-1"
        " --profile-slug 'o'\"'\"'hara'"
    )
    for unknown in (Who("p"), Who("p", agent_id="a"), Who("p", server="https://raft.invalid")):
        assert unknown.login == "raftsup setup --profile p"
    assert (Who("").login, Who("p").agents) == ("raftsup setup", "raftsup setup")
    assert WHO.agents == "npx raft agent list --server https://raft.invalid"


def test_a_code_of_the_servers_own_counts_from_within_the_message() -> None:
    told = "delegated_legacy_route_unsupported: use another"
    assert raft_errors.known("BRIDGE_WAKE_STREAM_FAILED", told) is CODES[told.split(":")[0]]
    assert raft_errors.known("BRIDGE_WAKE_STREAM_FAILED", "no") is not None
    assert raft_errors.known("OUT_OF_TEA") is None
