"""Slow, large, malformed and half-gone senders against a true worker process."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup.wake import BODY_LIMIT
from tests.integration.endpoint_child import Answer, Child, poll, post, refused, start

HALF_HEAD = b"POST /wake HTTP/1.1\r\nhost: 127.0.0.1\r\nx-raft-br"
HALF_BODY = b"POST /wake HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"
HALF_CHUNK = b"POST /wake HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"
CHUNKED = "transfer-encoding: chunked\r\n"


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """Its deadline is out of a test's reach: what is answered was answered before it."""
    with start(tmp_path_factory.mktemp("patient")) as child:
        yield child


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with start(tmp_path_factory.mktemp("strict"), env={"ARRIVAL": "0.3"}) as child:
        yield child


def chunks(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def chunked(child: Child, payload: bytes) -> Answer:
    return child.exchange(child.request("POST", "/wake", payload, extra=CHUNKED, length=False))


@pytest.mark.parametrize("half", [HALF_HEAD, HALF_BODY, HALF_CHUNK, b""])
def test_fifty_half_sent_requests_hold_up_no_wake(patient: Child, half: bytes) -> None:
    halves = [patient.connect(half) for _ in range(50)]
    patient.wait_until_accepted(halves)
    for number in range(10):
        assert post(patient, {"eventId": f"{half!r} {number}"}).status == 202
    for sock in halves:
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        sock.close()


def test_five_hundred_half_sent_requests_hold_up_no_wake(patient: Child) -> None:
    halves = [patient.connect((HALF_HEAD, HALF_BODY)[n % 2]) for n in range(500)]
    for number in range(10):
        assert post(patient, {"eventId": f"flood {number}"}).status == 202
    for sock in halves:
        sock.close()


def test_over_the_cap_the_oldest_sender_gives_way(tmp_path: Path) -> None:
    with start(tmp_path, env={"CONNECTIONS": "3"}) as child:
        oldest, *others = [child.connect(HALF_HEAD) for _ in range(3)]
        child.wait_until_accepted([oldest, *others])
        others.append(child.connect(HALF_HEAD))
        refused(Answer.read(oldest), 408, "busy")
        for sock in others:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            sock.close()
        oldest.close()


@pytest.mark.parametrize("half", [HALF_HEAD, HALF_BODY, HALF_CHUNK, b""])
def test_a_sender_that_stops_is_cut_off_with_408(strict: Child, half: bytes) -> None:
    with strict.connect(half) as sock:
        refused(Answer.read(sock), 408, "busy")


def test_a_sender_that_trickles_has_one_deadline_for_the_whole_request(strict: Child) -> None:
    with strict.connect() as sock:

        def trickle() -> bool:
            try:
                sock.sendall(b"a")
                sock.settimeout(0.02)
                return sock.recv(4) == b"HTTP"
            except TimeoutError:
                return False

        sock.sendall(b"POST /wake HTTP/1.1\r\nx: ")
        # The poll's own deadline is 60 times the endpoint's.
        poll(trickle, "cutting off the sender")


def test_a_request_that_arrives_byte_by_byte_is_taken(patient: Child) -> None:
    request = patient.request("POST", "/wake", b'{"eventId": "slow but whole"}')
    with patient.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(request)):
            sock.sendall(request[at : at + 1])
        assert Answer.read(sock).status == 202


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_chunked_wake_is_read(patient: Child, size: int) -> None:
    body = json.dumps({"eventId": f"chunks of {size}", "pad": "x" * 3000}).encode()
    assert chunked(patient, chunks(body, size)).status == 202
    assert patient.events("accept")[-1][1] == f"chunks of {size}"


@pytest.mark.parametrize("size", [1, 1000, 60_000])
def test_a_chunked_body_over_the_limit_is_413(patient: Child, size: int) -> None:
    refused(chunked(patient, chunks(b"x" * (BODY_LIMIT + 1), size)), 413, "injection_failed")


def test_chunk_extensions_do_not_get_around_the_limit(patient: Child) -> None:
    padded = b"".join(b"1;%s\r\nx\r\n" % (b"e" * 4000) for _ in range(100))
    refused(chunked(patient, padded), 413, "injection_failed")


def test_a_413_reaches_a_sender_that_is_in_the_middle_of_a_large_body(patient: Child) -> None:
    head = patient.request("POST", "/wake", extra="content-length: 50000000\r\n")
    with patient.connect(head + b"x" * 1_000_000) as sock:
        refused(Answer.read(sock), 413, "injection_failed")


def test_a_large_body_gets_no_413_without_the_token(patient: Child) -> None:
    head = patient.request("POST", "/wake", token=None, extra="content-length: 50000000\r\n")
    refused(patient.exchange(head), 401, "auth_revoked")


def test_peers_that_do_not_close_hold_up_no_wake(tmp_path: Path) -> None:
    with start(tmp_path, env={"LINGER": "30"}) as child:
        answered = [child.connect(child.request("GET", "/health")) for _ in range(20)]
        for sock in answered:
            assert Answer.read(sock).status == 200
        assert post(child, {"eventId": "after them"}).status == 202
        assert child.holds(answered)
        for sock in answered:
            sock.close()


def test_a_peer_that_does_not_close_is_let_go_after_a_while(tmp_path: Path) -> None:
    with start(tmp_path, env={"LINGER": "0.2"}) as child:
        sock = child.connect(child.request("GET", "/health"))
        assert Answer.read(sock).status == 200
        poll(lambda: not child.holds([sock]), "closing the connection")
        sock.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"\x00" * 50,
        b"hello\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health HTTP/1.1\nhost: x\n\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET /health HTTP/1.1\r\n\r\n",
        b"POST /wake HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /wake HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /wake HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
        + CHUNKED.encode()
        + b"\r\n0\r\n\r\n",
        b"POST /wake HTTP/1.0\r\nhost: x\r\n" + CHUNKED.encode() + b"\r\n0\r\n\r\n",
    ],
    ids=repr,
)
def test_garbage_is_400(patient: Child, garbage: bytes) -> None:
    refused(patient.exchange(garbage), 400, "injection_failed")


def test_a_chunked_body_that_is_none_is_400(patient: Child) -> None:
    refused(chunked(patient, b"zz\r\n{}\r\n0\r\n\r\n"), 400, "injection_failed")


def test_a_head_without_end_is_431(patient: Child) -> None:
    with patient.connect(HALF_HEAD + b"x" * 20_000) as sock:
        refused(Answer.read(sock), 431, "injection_failed")


def test_too_many_headers_are_431(patient: Child) -> None:
    extra = "".join(f"x-{n}: 1\r\n" for n in range(100))
    refused(patient.ask("GET", "/health", extra=extra), 431, "injection_failed")


def test_a_request_cut_off_by_its_sender_is_400_and_not_taken(patient: Child) -> None:
    before = patient.events("accept")
    whole = patient.request("POST", "/wake", b'{"eventId": "cut"}   ')
    with patient.connect(whole[:-2]) as sock:
        sock.shutdown(socket.SHUT_WR)
        refused(Answer.read(sock), 400, "injection_failed")
    assert patient.events("accept") == before


def test_a_cut_off_body_without_a_host_is_not_taken_either(patient: Child) -> None:
    # h11 refuses a head without Host; such a request is handed over before its body has come.
    whole = patient.request("POST", "/wake", b'{"eventId": "cut"}   ', host=None)
    refused(patient.exchange(whole[:-2]), 403, "auth_revoked")


def test_an_http_1_0_wake_is_taken_and_the_connection_closed(patient: Child) -> None:
    answer = post(patient, {"eventId": "1.0"}, version="1.0", extra="connection: keep-alive\r\n")
    assert answer.status == 202
    assert answer.headers["connection"] == "close"


def test_an_http_1_0_wake_without_a_host_is_403(patient: Child) -> None:
    refused(post(patient, {"eventId": "1.0"}, version="1.0", host=None), 403, "auth_revoked")


def test_a_pipelined_second_request_is_not_answered(patient: Child) -> None:
    first = patient.request("POST", "/wake", b'{"eventId": "first of two"}')
    second = patient.request("POST", "/wake", b'{"eventId": "second of two"}')
    answer = patient.exchange(first + second)
    assert (answer.status, answer.rest) == (202, b"")
    assert patient.events("accept")[-1][1] == "first of two"


def test_who_expects_100_gets_one_before_the_body_and_one_only(patient: Child) -> None:
    body = b'{"eventId": "expected"}'
    extra = f"expect: 100-continue\r\ncontent-length: {len(body)}\r\n"
    with patient.connect(patient.request("POST", "/wake", extra=extra)) as sock:
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert Answer.read(sock).status == 202


def test_who_expects_100_and_sends_at_once_is_just_answered(patient: Child) -> None:
    answer = post(patient, {"eventId": "impatient"}, extra="expect: 100-continue\r\n")
    assert answer.status == 202


def test_who_expects_100_for_a_large_body_gets_413_at_once(patient: Child) -> None:
    extra = "expect: 100-continue\r\ncontent-length: 50000\r\n"
    refused(patient.ask("POST", "/wake", extra=extra), 413, "injection_failed")


def test_another_expectation_is_417(patient: Child) -> None:
    refused(post(patient, {"eventId": "x"}, extra="expect: tea\r\n"), 417, "injection_failed")


def test_senders_that_reset_leave_the_endpoint_whole(patient: Child) -> None:
    for data in (b"", HALF_HEAD, patient.request("GET", "/health")):
        for _ in range(20):
            sock = patient.connect(data)
            # A close that resets.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
    assert patient.ask("GET", "/health").status == 200
    assert "error" not in patient.stderr().lower()
