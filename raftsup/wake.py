"""The wake contract: what makes a POST of the bridge a wake, and every reason to refuse it.

Pure functions over bytes and strings; the endpoint calls them in the contract's order. The
payload's schema belongs to Raft and will change: an unknown schema or field is never a reason to
refuse. Its values stay here, but for the two ids: no error text quotes them.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import Any

import orjson

from raftsup.errors import RaftsupError

#: Bytes of a wake's body. A true wake has about 300.
BODY_LIMIT = 16 * 1024
#: Levels of objects and lists in a wake's body, the outermost included. A true wake has one.
MAX_DEPTH = 64

#: Keys that carry message content, whatever the letter case and the depth.
CONTENT_KEYS = frozenset({"body", "content", "message", "messages", "preview", "snippet", "text"})
#: The delivery's name is the first of these that is a valid id.
IDENTITY_KEYS = ("eventId", "attemptId", "messageId", "delivery_id", "wake_id", "id")

#: What the bridge makes of a bare status (RAFT_PROTOCOL, "Answers"), said in the body as well.
FAILURE_CLASSES = {
    401: "auth_revoked",
    403: "auth_revoked",
    404: "no_session",
    405: "protocol_mismatch",
    408: "busy",
    503: "busy",
}
OTHER_FAILURE = "injection_failed"


class Refused(RaftsupError):
    """A request that is not taken: its HTTP status and, for people, what is wrong with it."""

    def __init__(self, status: int, error: str, retry_after_ms: int | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.retry_after_ms = retry_after_ms

    @property
    def failure_class(self) -> str:
        return FAILURE_CLASSES.get(self.status, OTHER_FAILURE)

    def answer(self) -> dict[str, Any]:
        """The JSON body of the refusal. The bridge reads ``failureClass`` and ``retryAfterMs``."""
        answer: dict[str, Any] = {
            "ok": False,
            "error": self.error,
            "failureClass": self.failure_class,
        }
        if self.retry_after_ms is not None:
            answer["retryAfterMs"] = self.retry_after_ms
        return answer


@dataclass(frozen=True)
class Wake:
    """One accepted-to-be wake: all of its payload that may go any further."""

    #: Names the delivery: minted anew by the bridge for each POST.
    identity: str
    #: Names the message: the same in each re-delivery. None where the payload has none.
    message_id: str | None


def check_token(presented: str | None, expected: str) -> None:
    """Raise ``Refused`` 401 unless the header's value is this bridge's token."""
    # Compared as bytes, since compare_digest raises on str that is not ASCII.
    same = hmac.compare_digest(
        (presented or "").encode("utf-8", "surrogatepass"), expected.encode()
    )
    if not (same and expected):
        raise Refused(
            401,
            "the x-raft-bridge-token header is missing or is not this endpoint's token: only the"
            " bridge that this worker started has it",
        )


def check_host(header: str | None, port: int) -> None:
    """Raise ``Refused`` 403 unless ``Host`` is this endpoint's loopback address.

    A web page that has its own name resolve to loopback still sends that name.
    """
    accepted = (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}")
    if header is None or header.lower() not in accepted:
        raise Refused(403, f"the Host header must be this endpoint's address, 127.0.0.1:{port}")


def parse(body: bytes) -> Wake:
    """The wake in a body of at most ``BODY_LIMIT`` bytes. Raises ``Refused`` 400 if it is none."""
    text, payload = json_object(body)
    if _depth_exceeds(payload, MAX_DEPTH):
        raise _too_deep()
    lexemes = _load_lexemes(text)

    def identity(key: str) -> str | None:
        match payload.get(key):
            case bool():
                return None
            case float():
                # An integer beyond 64 bits is a float here, and two of them may be equal: only
                # the digits as they were sent tell them apart.
                return str(lexemes[key])
            case int() as number:
                return str(number)
            case str() as text if text:
                return text
        return None

    name = next(filter(None, map(identity, IDENTITY_KEYS)), None)
    if name is None:
        raise Refused(
            400,
            f"no identity: one of {', '.join(IDENTITY_KEYS)} must be a non-empty string or a"
            " finite number",
        )
    return Wake(identity=name, message_id=identity("messageId"))


def json_object(body: bytes) -> tuple[str, dict[str, Any]]:
    """A body's text, and the JSON object that it is. Raises ``Refused`` 400 if it is none."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not valid UTF-8 (byte {error.start})") from None
    payload = _load(text)
    if not isinstance(payload, dict):
        raise Refused(400, "the body must be a JSON object")
    return text, payload


def _load(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg:
            raise _too_deep() from None
        raise Refused(400, f"the body is not valid JSON (character {error.pos})") from None


def _load_lexemes(text: str) -> dict[str, Any]:
    """The same payload with each number as the text it was sent as.

    This second reading also sees what a repeated key hides from the first one, so that it is the
    one that looks for content.
    """
    try:
        lexemes: dict[str, Any] = json.loads(
            text, parse_int=str, parse_float=str, object_pairs_hook=_content_free
        )
    except RecursionError:
        raise _too_deep() from None
    return lexemes


def _content_free(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, _ in pairs:
        if (folded := key.casefold()) in CONTENT_KEYS:
            raise Refused(
                400,
                f'the wake carries message content (a key "{folded}"): a wake must be content-free',
            )
    return dict(pairs)


def _depth_exceeds(payload: Any, limit: int) -> bool:
    level = [payload]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _too_deep() -> Refused:
    return Refused(400, f"the body is nested too deep: {MAX_DEPTH} levels are taken")
