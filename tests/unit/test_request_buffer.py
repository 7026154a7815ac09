"""When a request has arrived whole, however it was cut into pieces."""

from __future__ import annotations

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.errors import ParseException
from hypothesis import given
from hypothesis import strategies as st

from raftsup.wake import BODY_LIMIT, Refused
from raftsup.worker.http_server import nothing_after
from raftsup.worker.request_buffer import HEAD_LIMIT, RAW_LIMIT, Arrival

HEAD = b"POST /wake HTTP/1.1\r\nhost: x\r\n"
WHOLE = [
    b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
    HEAD + b"\r\n",
    HEAD + b"content-length: 2\r\n\r\n{}",
    HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nt: 1\r\n\r\n",
]


@given(st.sampled_from(WHOLE), st.data())
def test_a_request_is_whole_with_its_last_byte_and_not_before(
    request: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(request) - 1))))
    pieces = [request[a:b] for a, b in zip([0, *cuts], [*cuts, len(request)], strict=True)]
    arrival = Arrival()
    assert [arrival.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert arrival.raw == request


@given(st.binary(min_size=1, max_size=200), st.binary(min_size=1, max_size=200))
def test_any_bytes_are_awaited_taken_or_refused(first: bytes, second: bytes) -> None:
    arrival = Arrival()
    try:
        if not arrival.feed(first):
            arrival.feed(second)
    except Refused as refused:
        assert refused.status in (400, 431)


def test_a_declared_length_over_the_limit_is_not_waited_for() -> None:
    assert Arrival().feed(HEAD + b"content-length: %d\r\n\r\n" % (BODY_LIMIT + 1))
    assert not Arrival().feed(HEAD + b"content-length: %d\r\n\r\n" % BODY_LIMIT)


def test_chunks_over_the_limit_are_not_waited_for() -> None:
    arrival = Arrival()
    assert not arrival.feed(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    assert not arrival.feed(b"%x\r\n" % (BODY_LIMIT * 2) + b"x" * BODY_LIMIT)
    assert arrival.feed(b"x")


def test_padding_between_chunks_is_bounded() -> None:
    arrival = Arrival()
    arrival.feed(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    with pytest.raises(Refused) as caught:
        for _ in range(RAW_LIMIT // 1000 + 1):
            arrival.feed(b"1;%s\r\nx\r\n" % (b"e" * 1000))
    assert caught.value.status == 413


def test_a_head_without_end_is_bounded() -> None:
    with pytest.raises(Refused) as caught:
        Arrival().feed(HEAD + b"x: " + b"y" * HEAD_LIMIT)
    assert caught.value.status == 431


def test_a_head_that_has_ended_is_handed_over_though_it_is_wrong() -> None:
    assert Arrival().feed(b"POST /wake HTTP/1.1\r\n\r\n")
    assert Arrival().feed(HEAD + b"no colon\r\n\r\n")


def test_a_sender_that_expects_100_is_told_once_and_only_while_it_waits() -> None:
    arrival = Arrival()
    assert not arrival.feed(HEAD + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert arrival.wants_continue()
    assert not arrival.feed(b"{")
    assert not arrival.wants_continue()

    arrival = Arrival()
    assert not arrival.feed(HEAD + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n{")
    assert not arrival.wants_continue()


@pytest.mark.parametrize("cut", [WHOLE[2][:20], WHOLE[2][:-1], WHOLE[3][:-1]])
def test_gunicorns_parser_refuses_a_request_that_is_not_all_there(cut: bytes) -> None:
    # It would wait for the rest on a socket, and take what is left of a body at its end.
    with pytest.raises(ParseException):
        next(RequestParser(Config(), nothing_after(cut), ("127.0.0.1", 1))).body.read()
