"""The control API under ``/sim/``: for tests, the demo and ``raftsup sim send``.

It needs no credential; its server listens on loopback only::

    POST   /sim/messages  {"to", "text", "target"?, "from"?, "app"?}   a person tells an agent
                          something, or an app does
    GET    /sim/messages  {"messages": [...], "replies": [...]}, with Unix times
    GET    /sim/activity  {"events": [...]}
    POST   /sim/tokens    {"agent"}: another token for it, as its page would show; the old one
                          is revoked. Answers {"agentId", "token"}
    GET    /sim/dots      {"dots": {agent: {"status", "detail", "at"}}}
    POST   /sim/faults    a fault (see ``faults``), answers {"id"}
    GET    /sim/faults
    DELETE /sim/faults[?id=N]
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from raftsup.sim import faults
from raftsup.sim.workspace import DEFAULT_TARGET, Agent, UnknownAgent, Workspace


class House(NamedTuple):
    """What a request can reach."""

    workspace: Workspace
    board: faults.FaultBoard
    closing: threading.Event
    #: Seconds between two ``: ka`` comments on a stream.
    keepalive: float
    #: Stop listening for so many seconds.
    refuse: Callable[[float], None]
    #: What is known of servers newer than CLI 0.0.24.
    next: bool = False


class BadRequest(Exception):
    """The request makes no sense; the message says why. ``code``: the server's, if it has one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Answered(NamedTuple):
    status: int
    body: dict[str, Any]
    #: What to do once the answer is out.
    then: Callable[[], None] | None = None


def answer(
    house: House, method: str, path: str, query: dict[str, str], body: dict[str, Any]
) -> Answered:
    """Raises ``BadRequest``."""
    workspace, board = house.workspace, house.board
    match method, path:
        case "POST", "/sim/messages":
            return Answered(200, _person_says(workspace, body))
        case "GET", "/sim/messages":
            replies = [asdict(r) for r in workspace.replies()]
            return Answered(200, {"messages": workspace.messages(), "replies": replies})
        case "POST", "/sim/tokens":
            return Answered(200, _renewed(house, body))
        case "GET", "/sim/activity":
            return Answered(200, {"events": workspace.activity()})
        case "GET", "/sim/dots":
            dots = {name: asdict(dot) for name, dot in workspace.dots().items()}
            return Answered(200, {"dots": dots})
        case "GET", "/sim/faults":
            return Answered(200, {"faults": board.list()})
        case "POST", "/sim/faults":
            return _set_fault(house, body)
        case "DELETE", "/sim/faults":
            board.clear(number(query, "id", 0) or None)
            workspace.nudge()
            return Answered(200, {"ok": True})
    return Answered(404, {"error": "no such route"})


def _person_says(workspace: Workspace, body: dict[str, Any]) -> dict[str, Any]:
    words = (
        body.get("to"),
        body.get("text"),
        body.get("target", DEFAULT_TARGET),
        body.get("from", "@person"),
    )
    if not all(isinstance(w, str) and w for w in words):
        raise BadRequest("to and text (and target, from) must be strings")
    app = body.get("app")
    if not (app is None or (isinstance(app, str) and app)):
        raise BadRequest("app must be a string")
    try:
        message = workspace.post(*words, app=app)  # type: ignore[arg-type]
    except UnknownAgent as error:
        raise BadRequest(str(error)) from error
    return {"id": message.id, "seq": message.seq}


def _renewed(house: House, body: dict[str, Any]) -> dict[str, Any]:
    try:
        agent = renew_token(house.workspace, house.board, str(body.get("agent")))
    except UnknownAgent as error:
        raise BadRequest(str(error)) from error
    return {"agentId": agent.id, "token": agent.token}


def renew_token(workspace: Workspace, board: faults.FaultBoard, agent: str) -> Agent:
    """Another token for an agent: it is good, also where the fault ``revoke`` had taken the one
    before. Raises ``UnknownAgent``.
    """
    renewed = workspace.renew_token(agent)
    board.forgive("revoke", (renewed.name, renewed.id))
    return renewed


def _set_fault(house: House, raw: dict[str, Any]) -> Answered:
    try:
        fault = faults.parse(raw)
    except faults.BadFault as error:
        raise BadRequest(str(error)) from error
    if fault.kind == "refuse":
        # Only after the answer: refusing closes every open connection.
        return Answered(200, {"id": 0}, lambda: house.refuse(fault.seconds or 0.0))
    id = house.board.set(fault)
    house.workspace.nudge()
    return Answered(200, {"id": id})


def since(query: dict[str, str]) -> int | None:
    """None for ``latest``, and without any. Raises ``BadRequest``."""
    text = query.get("since", "").strip()
    if text in ("", "latest"):
        return None
    if not text.isdecimal():
        raise BadRequest(
            "since must be a non-negative integer (messageSeq) or 'latest'", "since_invalid"
        )
    return int(text)


def limit(query: dict[str, str]) -> int:
    """Of a page: 1 to 200, and 50 for what is none."""
    text = query.get("limit", "").strip()
    return min(max(int(text) if text.isdecimal() and int(text) else 50, 1), 200)


def number(query: dict[str, str], name: str, default: int) -> int:
    """Raises ``BadRequest``."""
    try:
        return int(query.get(name, default))
    except ValueError as error:
        raise BadRequest(f"{name} must be a number") from error
