"""The frames that travel between us and a Gateway: JSON texts, made and read here. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from raftsup import __version__
from raftsup.errors import RaftsupError

PROTOCOL = 4
#: Who we are, of the ids and modes that a Gateway knows. With this pair a Gateway on loopback
#: takes the shared token without a paired device.
CLIENT_ID, CLIENT_MODE, ROLE, PLATFORM = "gateway-client", "backend", "operator", "linux"
#: Read: sessions and tasks. Write: start and abort runs.
SCOPES = ("operator.read", "operator.write")
#: So that a run's tools are told as ``agent`` events of the stream ``tool``.
CAPS = ("tool-events",)

_MARKS = re.compile(r"[^\x20-\x7E]+")


class BadFrame(RaftsupError):
    """What came is no frame of this protocol."""


@dataclass(frozen=True)
class Challenge:
    nonce: str
    #: Milliseconds since 1970; what is signed, and when it says that it was signed.
    ts: int


@dataclass(frozen=True)
class Answer:
    """A response. A request may get two: accepted, then the end."""

    id: str
    ok: bool
    payload: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    name: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Hello:
    """What ``hello-ok`` tells of the Gateway and of what we may do there."""

    version: str
    #: One boot of the Gateway; "" for one too old to tell.
    boot: str
    scopes: tuple[str, ...]
    #: Milliseconds since its process began.
    uptime: int
    methods: frozenset[str] = frozenset()
    #: The agent whose sessions are meant where none is named.
    default_agent: str = "main"


@dataclass(frozen=True)
class Device:
    """Our identity, as ``connect`` carries it."""

    id: str
    public_key: str
    signature: str


def connect(
    challenge: Challenge, *, token: str | None, password: str | None, device: Device | None
) -> dict[str, Any]:
    """The parameters of ``connect``."""
    params: dict[str, Any] = {
        "minProtocol": PROTOCOL,
        "maxProtocol": PROTOCOL,
        "client": {
            "id": CLIENT_ID,
            "displayName": "raftsup",
            "version": __version__,
            "platform": PLATFORM,
            "mode": CLIENT_MODE,
        },
        "role": ROLE,
        "scopes": list(SCOPES),
        "caps": list(CAPS),
    }
    if auth := {k: v for k, v in (("token", token), ("password", password)) if v}:
        params["auth"] = auth
    if device is not None:
        params["device"] = {
            "id": device.id,
            "publicKey": device.public_key,
            "signature": device.signature,
            "signedAt": challenge.ts,
            "nonce": challenge.nonce,
        }
    return params


def agent_run(
    notice: str, *, session: str, key: str, agent_id: str | None, seconds: float
) -> dict[str, Any]:
    """The parameters of ``agent``: one run in a session, delivered to no channel.

    ``seconds``: the Gateway's own limit for the run, so that it ends even if we cannot say so.
    """
    params = {
        "message": notice,
        "sessionKey": session,
        "idempotencyKey": key,
        "deliver": False,
        "timeout": max(1, round(seconds)),
    }
    return {**params, "agentId": agent_id} if agent_id else params


def request(number: str, method: str, params: Mapping[str, Any]) -> str:
    frame = {"type": "req", "id": number, "method": method, "params": params}
    return orjson.dumps(frame).decode()


def read(text: str | bytes) -> Answer | Event | None:
    """A frame that came; None for one of a type that is newer than we are.

    Raises ``BadFrame``.
    """
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadFrame("it is not JSON") from None
    if not isinstance(frame, dict):
        raise BadFrame("it is not an object")
    match frame.get("type"):
        case "res":
            return Answer(
                str(frame.get("id")),
                frame.get("ok") is True,
                _object(frame.get("payload")),
                _object(frame.get("error")),
            )
        case "event":
            return Event(str(frame.get("event")), _object(frame.get("payload")))
    return None


def challenge_of(event: Event) -> Challenge:
    """Raises ``BadFrame`` unless the event is a sound ``connect.challenge``."""
    nonce, ts = event.payload.get("nonce"), event.payload.get("ts")
    if event.name != "connect.challenge" or not isinstance(nonce, str) or not nonce:
        raise BadFrame("it is no connect.challenge")
    if not isinstance(ts, int) or isinstance(ts, bool) or ts < 0:
        raise BadFrame("its connect.challenge has no time")
    return Challenge(nonce, ts)


def hello_of(payload: Mapping[str, Any]) -> Hello:
    """Raises ``BadFrame`` where it is no ``hello-ok`` of our protocol."""
    if payload.get("type") != "hello-ok" or payload.get("protocol") != PROTOCOL:
        raise BadFrame(f"it speaks protocol {payload.get('protocol')!r}, raftsup speaks {PROTOCOL}")
    server, auth = _object(payload.get("server")), _object(payload.get("auth"))
    uptime = _object(payload.get("snapshot")).get("uptimeMs")
    scopes, methods = auth.get("scopes"), _object(payload.get("features")).get("methods")
    defaults = _object(_object(payload.get("snapshot")).get("sessionDefaults"))
    return Hello(
        version=str(server.get("version", "?")),
        boot=str(server.get("bootId") or ""),
        scopes=tuple(map(str, scopes)) if isinstance(scopes, list) else (),
        uptime=uptime if isinstance(uptime, int) else 0,
        methods=frozenset(map(str, methods)) if isinstance(methods, list) else frozenset(),
        default_agent=str(defaults.get("defaultAgentId") or "main"),
    )


def one_line(text: str) -> str:
    """What the other side says, fit for a log and a terminal: printable ASCII, not long."""
    return " ".join(_MARKS.sub(" ", text).split())[:300]


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
