"""The routes that bridges and CLIs ask: those at the end of the protocol page."""

from __future__ import annotations

import json
import select
import socket
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from raftsup.sim import control, faults
from raftsup.sim.control import House
from raftsup.sim.dots import BadReport
from raftsup.sim.workspace import Agent, Message, Workspace

API = "/internal/agent-api"
#: How often a stalled request or a quiet stream looks whether its client is gone.
LOOK = 0.5


def hint_of(message: Message) -> dict[str, Any]:
    return {
        "event_id": f"wake-hint:{message.id}",
        "message_id": message.id,
        "seq": message.seq,
        "target": message.target,
        "wake_reason": "message_pending",
    }


def _ingested(workspace: Workspace, agent: Agent, events: list[Any]) -> tuple[int, dict[str, Any]]:
    try:
        taken = workspace.ingest(agent.id, events)
    except BadReport as error:
        return 400, {"ok": False, "code": str(error)}
    rejected = len(events) - taken
    return 200, {"ok": True, "acceptedCount": taken, "rejectedCount": rejected, "droppedCount": 0}


class Handler(BaseHTTPRequestHandler):
    """One connection. Bound to a ``House`` by a subclass (see ``server``)."""

    house: House
    # Head and body are two writes: an answer must not wait for the first one's ACK.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request line could carry what belongs in no log."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        url = urlsplit(self.path)
        query = {k: v[-1] for k, v in parse_qs(url.query).items()}
        try:
            if url.path.startswith("/sim/"):
                self._control(method, url.path, query)
            else:
                self._agent_route(method, url.path, query)
        except control.BadRequest as error:
            self._json(400, {"error": str(error)})
        except OSError:
            # The client went away, or a fault closed its connection: nobody is left to tell.
            self.close_connection = True

    def _control(self, method: str, path: str, query: dict[str, str]) -> None:
        body = self._body() if method == "POST" else {}
        status, answer, then = control.answer(self.house, method, path, query, body)
        self._json(status, answer)
        self.wfile.flush()
        if then is not None:
            then()

    # -- agents -----------------------------------------------------------------------------

    def _agent_route(self, method: str, path: str, query: dict[str, str]) -> None:
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        agent = self.house.workspace.by_token(token)
        names = (agent.name, agent.id) if agent else ()
        fault = self.house.board.take(faults.REQUEST_KINDS, names, path)
        if fault is not None:
            self._misbehave(fault)
        elif agent is None:
            self._json(401, {"error": "unknown credential"})
        else:
            self._serve_agent(agent, method, path.removeprefix(API), query)

    def _serve_agent(self, agent: Agent, method: str, path: str, query: dict[str, str]) -> None:
        workspace = self.house.workspace
        match method, path:
            case "GET", "/wake-hints":
                limit = control.number(query, "limit", 50)
                page = workspace.hints(agent.id, control.since(query), limit)
                body = {
                    "wake_hints": [hint_of(m) for m in page.pending],
                    "last_hint_seq": page.last_seq,
                    "has_more": page.has_more,
                }
                self._json(200, body, self._bridge_fault(agent))
            case "GET", "/wake-hints/stream":
                self._stream(agent, control.since(query))
            case "GET", "/events":
                since = control.number(query, "since", -1) if query.get("ack") == "cursor" else -1
                batch = workspace.pull(
                    agent.id, since if since >= 0 else None, control.number(query, "limit", 20)
                )
                events = [
                    {
                        "message_id": m.id,
                        "seq": m.seq,
                        "target": m.target,
                        "from": m.sender,
                        "text": m.text,
                        "sent_at": m.sent_at,
                    }
                    for m in batch.messages
                ]
                self._json(
                    200, {"events": events, "cursor": batch.cursor, "has_more": batch.has_more}
                )
            case "POST", "/activity":
                activity = self._body().get("events")
                if not isinstance(activity, list):
                    raise control.BadRequest("events must be a list")
                self._json(*_ingested(workspace, agent, activity))
            case "POST", "/messages":
                body = self._body()
                target, text = body.get("target"), body.get("body")
                if not isinstance(target, str) or not isinstance(text, str):
                    raise control.BadRequest("target and body must be strings")
                self._json(200, {"id": workspace.reply(agent.id, target, text).id})
            case "GET", "/whoami":
                self._json(200, {"agentId": agent.id, "name": agent.name})
            case _:
                self._json(404, {"error": "no such route"})

    def _bridge_fault(self, agent: Agent) -> dict[str, str]:
        """A fault that the bridge is to have rides on the routes that only bridges ask."""
        fault = self.house.board.take(("bridge",), (agent.name, agent.id), "")
        return {"x-raft-sim-fault": fault.spec} if fault else {}

    def _stream(self, agent: Agent, since: int | None) -> None:
        house, names = self.house, (agent.name, agent.id)
        opened_at = last_sent = house.board.now()
        seq = house.workspace.hints(agent.id, None).last_seq if since is None else since
        self._head(200, "text/event-stream")
        self.wfile.flush()
        while not house.closing.is_set() and not house.board.dropped(names, opened_at):
            version = house.workspace.version()
            if house.board.take(("revoke",), names, API + "/wake-hints/stream"):
                break
            for spec in self._bridge_fault(agent).values():
                self.wfile.write(f"event: sim-fault\ndata: {spec}\n\n".encode())
            for message in house.workspace.hints(agent.id, seq, 1_000_000).pending:
                data = json.dumps(hint_of(message))
                self.wfile.write(f"event: wake-hint\nid: {message.seq}\ndata: {data}\n\n".encode())
                seq, last_sent = message.seq, house.board.now()
            if house.board.now() - last_sent >= house.keepalive:
                self.wfile.write(b": ka\n\n")
                last_sent = house.board.now()
            if self._client_gone(0):
                break
            house.workspace.changed(version, min(LOOK, house.keepalive))

    # -- faults -----------------------------------------------------------------------------

    def _misbehave(self, fault: faults.Fault) -> None:
        match fault.kind:
            case "error":
                self._json(fault.status, {"error": "injected"})
            case "garbage":
                self._head(200, "application/json")
                self.wfile.write(b"\x00\xff<html>{]\n\n")
            case "revoke":
                self._json(401, {"error": "credential revoked"})
            case "stall":
                while self.house.board.standing(fault.id) and not self.house.closing.is_set():
                    if self._client_gone(LOOK):
                        break
        self.close_connection = True

    def _client_gone(self, wait: float) -> bool:
        if not select.select([self.connection], [], [], wait)[0]:
            return False
        return not self.connection.recv(1, socket.MSG_PEEK)

    # -- wire -------------------------------------------------------------------------------

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("content-length", "0")
        try:
            raw = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise control.BadRequest("the body is not JSON") from error
        if not isinstance(raw, dict):
            raise control.BadRequest("the body is not a JSON object")
        return raw

    def _json(self, status: int, body: dict[str, Any], extra: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self._head(status, "application/json", {"content-length": str(len(data)), **(extra or {})})
        self.wfile.write(data)

    def _head(self, status: int, content_type: str, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
