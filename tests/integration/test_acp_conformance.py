"""Every message that our ACP client sends is one of the protocol's, by the SDK's own schema."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from acp import schema
from pydantic import BaseModel, ValidationError

from raftsup.paths import StateDir
from raftsup.turn import OutcomeKind
from tests.integration.acp_seat import Lane, Seated, stopped_turn, turn

REQUESTS: dict[str, type[BaseModel]] = {
    "initialize": schema.InitializeRequest,
    "session/new": schema.NewSessionRequest,
    "session/load": schema.LoadSessionRequest,
    "session/resume": schema.ResumeSessionRequest,
    "session/prompt": schema.PromptRequest,
}
NOTIFICATIONS: dict[str, type[BaseModel]] = {"session/cancel": schema.CancelNotification}


def strictly(model: type[BaseModel], told: Any) -> None:
    """``told`` is a ``model``, and nothing in it is unknown to the model or fixed by it."""
    parsed = model.model_validate(told)
    again = parsed.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert again == told, f"{model.__name__}: {told}"


def conforms(message: dict[str, Any]) -> str:
    """The message's name."""
    assert message["jsonrpc"] == "2.0"
    method = message.get("method")
    if method is None:
        assert isinstance(message["id"], int)
        if "error" in message:
            strictly(schema.Error, message["error"])
            return f"error {message['error']['code']}"
        strictly(schema.RequestPermissionResponse, message["result"])
        return "permission"
    assert ("id" in message) is (method in REQUESTS)
    strictly((REQUESTS | NOTIFICATIONS)[method], message["params"])
    return str(method)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What was sent in a life with everything in it."""
    folder = tmp_path_factory.mktemp("acp")
    lane = Lane(StateDir(folder / "s"), folder)
    lane.state.prepare()

    async def cancelled() -> None:
        async with Seated(lane, "hang resume") as runner:
            count = len(lane.noted("prompt"))
            await stopped_turn(
                lane, runner, OutcomeKind.CANCELLED, lambda: len(lane.noted("prompt")) > count
            )

    async def two_turns() -> None:
        async with Seated(lane, "ask ask_files load", permissions="allow") as runner:
            await turn(lane, runner)
            await turn(lane, runner)

    lane.run("ask")
    asyncio.run(two_turns())
    asyncio.run(cancelled())
    return lane.sent()


def test_every_message_is_one_of_the_protocols(sent: list[dict[str, Any]]) -> None:
    names = {conforms(message) for message in sent}
    # The test is of nothing unless all of them were sent.
    assert names == {*REQUESTS, *NOTIFICATIONS, "permission", "error -32601"}


def test_no_power_of_the_client_is_announced(sent: list[dict[str, Any]]) -> None:
    hello = next(message["params"] for message in sent if message.get("method") == "initialize")
    powers = schema.ClientCapabilities.model_validate(hello["clientCapabilities"])
    assert powers.fs is not None and not powers.fs.read_text_file and not powers.fs.write_text_file
    assert not powers.terminal
    assert hello["protocolVersion"] == 1 and hello["clientInfo"]["name"] == "raftsup"


def test_a_session_has_no_servers_of_ours_and_an_absolute_folder(
    sent: list[dict[str, Any]],
) -> None:
    opened = [
        message["params"]
        for message in sent
        if message.get("method") in ("session/new", "session/load", "session/resume")
    ]
    assert opened
    assert all(params["mcpServers"] == [] for params in opened)
    assert all(Path(params["cwd"]).is_absolute() for params in opened)


def test_the_check_itself_sees_what_is_wrong() -> None:
    wrong = {"sessionId": "s", "prompt": [{"type": "text", "words": "hello"}]}
    with pytest.raises((ValidationError, AssertionError)):
        strictly(schema.PromptRequest, wrong)
    with pytest.raises((ValidationError, AssertionError)):
        strictly(schema.CancelNotification, {"sessionId": "s", "why": "late"})
