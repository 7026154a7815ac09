"""The routes that bridges and CLIs ask: those at the end of the protocol page."""

from __future__ import annotations

import json
import secrets
import select
import socket
import time
import uuid
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from raftsup.sim import control, faults, history, js, presence
from raftsup.sim.control import House
from raftsup.sim.presence import BadReport
from raftsup.sim.workspace import Agent, Message, UnknownAgent, Workspace

API = "/internal/agent-api"
#: How often a stalled request or a quiet stream looks whether its client is gone.
LOOK = 0.5
#: What the identity of each agent of the workspace says besides its own names.
SERVER_ID = "server-sim"
SCOPES = ("agent:messages", "agent:activity", "agent:wake")
#: Also of one that was revoked.
UNKNOWN = "Invalid agent credential"
#: Who asks says who it is [client.ts]; the stream alone says nothing of its capabilities.
_HEADERS = ("x-agent-id", "x-raft-client", "x-raft-client-capabilities")
_STREAM = f"{API}/wake-hints/stream"
#: What is registered, below ``API`` [middleware/authFromRegistry.ts].
_ROUTES = frozenset(
    {
        ("GET", ""),
        ("GET", "/wake-hints"),
        ("GET", "/wake-hints/stream"),
        ("GET", "/events"),
        ("GET", "/history"),
        ("GET", "/knowledge"),
        ("POST", "/activity"),
        ("POST", "/v2/send"),
    }
)
#: Of the person who approves logins.
_SESSION = "session-sim"
#: A held send shows so many of the messages that its sender has not seen.
_SHOWN = 3
#: From so many holds of one draft on, sending it anyway is suggested.
_REHELD = 3
#: Hints that a stream gives at once.
_FLUSH = 200
#: What the manual has.
_MANUAL = {
    "index": "raft-cli-overview\n",
    "raft-cli-overview": "# Raft CLI overview (simulated)\n\n"
    "raft message check                     what is new\n"
    "raft message read --target '#channel'  what was said before\n"
    "raft message send --target '#channel'  the text goes to standard input\n",
}


def hint_of(message: Message) -> dict[str, Any]:
    return {
        "event_id": f"wake-hint:{message.id}",
        "seq": message.wire_seq,
        "message_id": message.id,
        "target": f"channelId:{_channel_of(message)['channel_id']}",
        **_channel_of(message),
        "wake_reason": "message_pending",
    }


def _frame_of(seq: int | None, hint: dict[str, Any]) -> bytes:
    number = "null" if seq is None else seq
    return f"event: wake-hint\nid: {number}\ndata: {js.dumps(hint)}\n\n".encode()


def _channel_of(message: Message) -> dict[str, Any]:
    kind, name = ("dm", message.target[4:]) if message.target.startswith("dm:@") else (
        "channel", message.target.removeprefix("#")
    )  # fmt: skip
    id = uuid.uuid5(uuid.NAMESPACE_URL, f"raft-sim:{kind}:{name}")
    return {"channel_id": str(id), "channel_name": name, "channel_type": kind}


def event_of(message: Message) -> dict[str, Any]:
    """A message as ``events`` has it."""
    event = {
        **_channel_of(message),
        "seq": message.wire_seq,
        "message_id": message.id,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(message.sent_at)),
        "sender_type": "third_party_app" if message.app else "human",
        "sender_name": message.app or message.sender.removeprefix("@"),
        "content": message.text,
    }
    event["senderType"] = event["sender_type"]
    if message.app:
        event["third_party_event"] = {
            "id": message.id,
            "kind": "event",
            "client_id": message.app,
            "client_name": message.app.title(),
            "payload_hash": "none",
        }
    return event


def identity_of(agent: Agent) -> dict[str, Any]:
    """Whose a credential is, as ``login`` checks it."""
    return {
        "agentId": agent.id,
        "agentName": agent.name,
        "agentDisplayName": None,
        "serverId": SERVER_ID,
        "serverRole": "member",
        "serverCapabilities": [],
        "credentialId": f"cred-{agent.id}",
        "scopes": list(SCOPES),
    }


def _handoff() -> dict[str, Any]:
    """What a person needs to approve a login."""
    code = secrets.token_hex(4)
    return {
        "deviceCode": f"device-{code}",
        "userCode": code[:4].upper(),
        "verificationUri": "/device",
        "verificationUriComplete": f"/device?user_code={code[:4].upper()}",
        "expiresIn": 900,
        "interval": 5,
    }


def _manual(query: dict[str, str]) -> tuple[int, dict[str, Any]]:
    topic = query.get("topic", "")
    if topic not in _MANUAL:
        return 404, {
            "ok": False,
            "code": "knowledge_not_found",
            "error": f"No manual topic {topic}.",
        }
    return 200, {
        "ok": True,
        "docId": topic,
        "topicOrPath": topic,
        "docVersion": "1",
        "docState": "published",
        "contentType": "text/markdown",
        "content": _MANUAL[topic],
    }


def _manageable(workspace: Workspace) -> dict[str, Any]:
    agents = [
        {
            "id": agent.id,
            "name": agent.name,
            "displayName": agent.name.title(),
            "description": None,
            "serverId": SERVER_ID,
            "serverName": "Simulated",
        }
        for agent in workspace.agents()
    ]
    reason = "ok" if agents else "no_agents_on_manageable_servers"
    return {"agents": agents, "reason": reason, "manageable_server_count": 1}


def _ingested(
    workspace: Workspace, agent: Agent, body: dict[str, Any], next: bool
) -> tuple[int, dict[str, Any]]:
    try:
        events = presence.events_of(body, next)
        taken = workspace.ingest(agent.id, events)
    except BadReport as error:
        return 400, {"error": str(error), "code": error.code}
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
            elif url.path.startswith("/api/"):
                self._person_route(method, url.path)
            else:
                self._agent_route(method, url.path, query)
        except control.BadRequest as error:
            self._json(400, {"error": str(error), **({"code": error.code} if error.code else {})})
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

    # -- people, who approve in a browser ---------------------------------------------------

    def _person_route(self, method: str, path: str) -> None:
        """The browser's part of a login: the simulated person approves at once, unless a fault
        says otherwise [agentLogin/deviceAuthClient.ts].
        """
        workspace, board = self.house.workspace, self.house.board
        if fault := board.take(faults.REQUEST_KINDS, (), path):
            self._misbehave(fault)
            return
        match method, path.split("/"):
            case "POST", ["", "api", "auth", "device", "authorize"]:
                self._json(200, _handoff())
            case "POST", ["", "api", "auth", "device", "token"]:
                if board.take(("unapproved",), (), path):
                    self._json(400, {"code": "authorization_pending"})
                else:
                    session = {"accessToken": _SESSION, "refreshToken": "none", "userId": "ann"}
                    self._json(200, session)
            case _ if self._token() != _SESSION:
                self._json(401, {"error": "Not logged in.", "code": "unauthorized"})
            case "GET", ["", "api", "agents", "manageable"]:
                self._json(200, {"ok": True, "data": _manageable(workspace)})
            case "POST", ["", "api", "agents", agent, "credentials"]:
                try:
                    found = workspace.find(agent)
                except UnknownAgent:
                    self._json(404, {"error": "No such agent.", "code": "agent_missing"})
                else:
                    self._json(200, {**identity_of(found), "apiKey": found.token})
            case _:
                self._json(404, {"error": "no such route"})

    # -- agents -----------------------------------------------------------------------------

    def _token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def _agent_route(self, method: str, path: str, query: dict[str, str]) -> None:
        workspace = self.house.workspace
        agent = workspace.by_token(self._token())
        names = (agent.name, agent.id) if agent else ()
        fault = self.house.board.take(faults.REQUEST_KINDS, names, path)
        if fault is not None:
            self._misbehave(fault)
        elif not path.startswith(API):
            self._json(404, {"error": "no such route"})
        elif (method, path.removeprefix(API).rstrip("/")) not in _ROUTES:
            # Before anybody asks who that is.
            told = {"error": "Unregistered internal route", "code": "auth_policy_unregistered_path"}
            self._json(401, told)
        elif agent is None:
            self._json(401, self._nobody())
        elif path.rstrip("/") == API:
            self._json(200, identity_of(agent))
        elif wrong := self._unsaid(agent, path):
            self._json(400, {"error": wrong})
        elif self._is_delegated(names, path):
            # A code and no words: the CLI has none to print but "HTTP 403".
            self._json(403, {"code": "delegated_legacy_route_unsupported"})
        else:
            self._serve_agent(agent, method, path.removeprefix(API), query)

    def _nobody(self) -> dict[str, Any]:
        """Why a request is nobody's [middleware/auth.ts]."""
        if not self.headers.get("authorization", "").startswith("Bearer "):
            return {"error": "Missing agent credential"}
        if not self._token().startswith("sk_agent_"):
            why = "Invalid authentication: agent credential required"
            return {"error": why, "code": "invalid_principal"}
        return {"error": UNKNOWN}

    def _unsaid(self, agent: Agent, path: str) -> str:
        """What a request should say of itself and does not; "" where all is well."""
        for name in _HEADERS[:2] if path == _STREAM else _HEADERS:
            if not self.headers.get(name):
                return f"missing header {name}"
        if self.headers["x-agent-id"] != agent.id:
            return "x-agent-id is another agent's"
        if self.headers.get("x-server-id") not in (None, SERVER_ID):
            return "x-server-id is another server's"
        return ""

    def _is_delegated(self, names: tuple[str, ...], path: str) -> bool:
        """Of such a connection every route but that of the identity is an old one."""
        return self.house.board.take(("delegated",), names, path) is not None

    def _serve_agent(self, agent: Agent, method: str, path: str, query: dict[str, str]) -> None:
        workspace = self.house.workspace
        match method, path:
            case "GET", "/wake-hints":
                page = workspace.hints(agent.id, control.since(query), control.limit(query))
                body = {
                    "wake_hints": [self._hint(m) for m in page.pending],
                    "last_hint_seq": page.last_seq,
                    "has_more": page.has_more,
                }
                self._json(200, body, self._bridge_fault(agent))
            case "GET", "/wake-hints/stream":
                if self.house.board.take(("no-stream",), (agent.name, agent.id), _STREAM):
                    self._json(404, {"error": "Not found"})
                else:
                    self._stream(agent, control.since(query))
            case "GET", "/knowledge":
                self._json(*_manual(query))
            case "GET", "/events":
                self._json(200, self._events(agent, query))
            case "POST", "/activity":
                self._json(*_ingested(workspace, agent, self._body(), self.house.next))
            case "GET", "/history":
                self._json(*self._history(agent, query))
            case "POST", "/v2/send":
                self._json(200, self._sent(agent, self._body()))

    def _hint(self, message: Message) -> dict[str, Any]:
        return hint_of(message) | ({"target": None} if self.house.next else {})

    def _events(self, agent: Agent, query: dict[str, str]) -> dict[str, Any]:
        """Unread messages. Acknowledged as this answers; with ``ack=cursor`` by the next pull."""
        workspace, since, limit = self.house.workspace, control.since(query), control.limit(query)
        if query.get("ack") == "cursor":
            batch = workspace.pull(agent.id, since, limit)
        else:
            batch = workspace.take(agent.id, limit)
        last = _channel_of(batch.messages[-1]) if batch.messages else None
        return {
            "events": [event_of(m) for m in batch.messages],
            # It looks for a field that no event has.
            "last_seen_msgId": None,
            "last_seen_seq": batch.cursor,
            "reply_target": f"channelId:{last['channel_id']}" if last else None,
            "pending_notice_ids": [],
            "wake_reason": None,
            "has_more": batch.has_more,
        }

    def _sent(self, agent: Agent, body: dict[str, Any]) -> dict[str, Any]:
        target, text = body.get("target"), body.get("content")
        if not isinstance(target, str) or not target:
            raise control.BadRequest("target is required")
        if not isinstance(text, str) or not text:
            raise control.BadRequest("Content is required")
        if body.get("continueAnyway") and not body.get("sendDraft"):
            raise control.BadRequest("--send-draft --anyway requires a saved draft")
        if held := self._held(agent, target, body):
            return held
        sent = self.house.workspace.reply(agent.id, target, text)
        return {"ok": True, "state": "sent", "messageId": sent.id}

    def _held(self, agent: Agent, target: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """A send is held where its sender has not read what was said at the target; None: it goes.

        What ``check`` has given counts for nothing, only what the CLI says to have shown. A hold
        shows the newest of it, and acknowledges all.
        """
        workspace = self.house.workspace
        said = workspace.said_in(agent.id, target)
        seen = body.get("seenUpToSeq")
        seen = seen if isinstance(seen, int) else None
        news = [m for m in said if m.seq > (seen or 0)]
        if body.get("continueAnyway") or not news:
            return None
        shown, latest = news[-_SHOWN:], news[-1]
        workspace.acknowledge(agent.id, target, latest.seq)
        # Who has read nothing there is not told of all that was ever said.
        count = len(shown) if seen is None else len(news)
        return {
            "ok": True,
            "state": "held",
            "decision": "syncing_hold",
            "heldMessages": [history.message_of(m) for m in shown],
            "newMessageCount": count,
            "shownMessageCount": len(shown),
            "omittedMessageCount": count - len(shown),
            "seenUpToSeq": latest.seq,
            "mentionAnnotation": {"formalMentionCount": 0},
            "continueAnywaySuggested": int(body.get("draftReholdCount") or 0) >= _REHELD,
            "seenUpToMessageId": latest.id,
            "firstShownSeq": shown[0].seq,
        }

    def _history(self, agent: Agent, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        target = query.get("channel", "").strip()
        workspace = self.house.workspace
        said, last_read = (
            workspace.history(agent.id, target),
            workspace.read_upto(agent.id, target),
        )
        try:
            return 200, history.page(said, target, query, last_read)
        except history.BadAnchor as error:
            return error.status, error.body

    def _bridge_fault(self, agent: Agent) -> dict[str, str]:
        """A fault that the bridge is to have rides on the routes that only bridges ask."""
        fault = self.house.board.take(("bridge",), (agent.name, agent.id), "")
        return {"x-raft-sim-fault": fault.spec} if fault else {}

    def _stream(self, agent: Agent, since: int | None) -> None:
        """``: connected`` at once, then what is pending after ``since``; again with each delivery
        and each ``: ka``.
        """
        house, names = self.house, (agent.name, agent.id)
        opened_at = beat_at = house.board.now()
        delivered = -1
        self._head(200, "text/event-stream")
        said = b": connected\n\n"
        while not house.closing.is_set() and not house.board.dropped(names, opened_at):
            version = house.workspace.version()
            silent = ("mute", "hold-first-chunk") if said else ("mute",)
            if any(house.board.holds(kind, names) for kind in silent):
                if self._client_gone(0):
                    break
                house.workspace.changed(version, LOOK)
                continue
            # The one of 0.0.24 looks at a credential when a stream is opened, and never again.
            if house.next and self._is_revoked(names):
                self.wfile.write(b"event: credential-revoked\ndata: {}\n\n")
                break
            for spec in self._bridge_fault(agent).values():
                self.wfile.write(f"event: sim-fault\ndata: {spec}\n\n".encode())
            now = house.board.now()
            if now - beat_at >= house.keepalive:
                said, beat_at, delivered = said + b": ka\n\n", now, -1
            self.wfile.write(said)
            said, before, delivered = b"", delivered, house.workspace.delivered(agent.id)
            if delivered != before:
                for message in house.workspace.hints(agent.id, since, _FLUSH).pending:
                    frame = _frame_of(message.wire_seq, self._hint(message))
                    if house.board.take(("cut",), names, _STREAM):
                        self.wfile.write(frame[: len(frame) // 2])
                        self.close_connection = True
                        return
                    self.wfile.write(frame)
                    since = since if message.app else message.seq
            if self._client_gone(0):
                break
            house.workspace.changed(version, min(LOOK, house.keepalive))

    def _is_revoked(self, names: tuple[str, ...]) -> bool:
        renewed = self.house.workspace.by_token(self._token()) is None
        return renewed or self.house.board.holds("revoke", names)

    # -- faults -----------------------------------------------------------------------------

    def _misbehave(self, fault: faults.Fault) -> None:
        match fault.kind:
            case "error":
                self._json(fault.status, {"error": "injected"})
            case "garbage":
                self._head(200, "application/json")
                self.wfile.write(b"\x00\xff<html>{]\n\n")
            case "revoke":
                self._json(401, {"error": UNKNOWN})
            case "cut":
                self._head(200, "application/json", {"content-length": "4096"})
                self.wfile.write(b'{"wake_hints": [')
            case "stall" | "mute":
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
        data = js.dumps(body).encode()
        self._head(status, "application/json", {"content-length": str(len(data)), **(extra or {})})
        self.wfile.write(data)

    def _head(self, status: int, content_type: str, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
