"""A request on its way in, byte by byte: has it arrived whole, and if not, is it worth waiting for?

h11 decides; gunicorn's parser reads the request again once it is whole, from the same bytes.
Pure: no socket, no clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

from raftsup.wake import BODY_LIMIT, Refused

#: Bytes of a request's head. A true wake's has about 300.
HEAD_LIMIT = 16 * 1024
#: Bytes of a whole request as sent: chunks of one byte make a body six times as long.
RAW_LIMIT = HEAD_LIMIT + 8 * BODY_LIMIT


@dataclass(frozen=True)
class Limits:
    """What one endpoint lets its senders have. Times are seconds."""

    #: From the accepted connection to the whole request, however it trickles.
    arrival: float = 2.0
    #: From the answer to the close.
    linger: float = 1.0
    #: Connections in the loop at once, lingering ones included; the oldest gives way.
    connections: int = 256


@dataclass
class Arrival:
    """What has come of one request so far."""

    raw: bytearray = field(default_factory=bytearray)
    parser: h11.Connection = field(
        default_factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
    )
    body: int = 0

    def feed(self, data: bytes) -> bool:
        """Take more bytes, at least one. True if the endpoint can answer now; raises ``Refused``.

        What is too large is the endpoint's to refuse, after the token and the Host, so it is
        handed over as soon as that is known. So is what h11 cannot read once the head has ended:
        gunicorn says what is wrong, and a missing Host has an answer of its own.
        """
        self.raw += data
        try:
            self.parser.receive_data(data)
            whole = self._follow()
        except h11.RemoteProtocolError as error:
            if b"\r\n\r\n" in self.raw:
                return True
            if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                raise Refused(431, f"the head is larger than {HEAD_LIMIT} bytes") from None
            raise Refused(400, "this is not an HTTP/1.1 request") from None
        if not whole and len(self.raw) > RAW_LIMIT:
            raise Refused(413, f"the request is larger than {RAW_LIMIT} bytes")
        return whole

    def _follow(self) -> bool:
        while True:
            match self.parser.next_event():
                case h11.Request() as request:
                    declared = dict(request.headers).get(b"content-length", b"0")
                    if int(declared) > BODY_LIMIT:
                        return True
                case h11.Data() as data:
                    self.body += len(data.data)
                    if self.body > BODY_LIMIT:
                        return True
                case h11.EndOfMessage():
                    return True
                case _:
                    return False

    def wants_continue(self) -> bool:
        """Whether the sender waits for a 100 before it sends the body. True once at most."""
        if not self.parser.they_are_waiting_for_100_continue:
            return False
        self.parser.send(h11.InformationalResponse(status_code=100, headers=[]))
        return True


def response(refused: Refused) -> bytes:
    """The whole HTTP answer, for connections that no endpoint sees. They close after it."""
    body = json.dumps(refused.answer()).encode()
    reason = HTTPStatus(refused.status).phrase
    head = (
        f"HTTP/1.1 {refused.status} {reason}\r\n"
        "content-type: application/json\r\n"
        "cache-control: no-store\r\n"
        "connection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
