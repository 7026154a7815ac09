"""The small HTTP client against raw sockets: every way an answer can end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from raftsup.sim import wire


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[int]]]:
    """A server that gives one answer for each request; also which connection each came on."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []
    left = list(answers)

    def serve() -> None:
        connection = 0
        while left:
            try:
                sock, _ = listener.accept()
            except OSError:  # the test is over
                return
            connection += 1
            with sock:
                while left and b"\r\n\r\n" in sock.recv(65536):
                    seen.append(connection)
                    answer = left.pop(0)
                    sock.sendall(answer)
                    if b"connection: close" in answer or not answer:
                        break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x", seen
    finally:
        listener.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nhello",
    ],
)
def test_an_answer_is_whole_however_its_end_is_told(answer: bytes) -> None:
    with answering(answer) as (url, _):
        got = wire.Peer(url).request("GET", "/x", {})
    assert (got.status, got.body) == (200, b"hello")


def test_a_connection_is_used_again_until_the_server_closes_it() -> None:
    kept = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    last = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    with answering(kept, last, kept) as (url, seen):
        peer = wire.Peer(url)
        for _ in range(3):
            peer.request("POST", "/x", {}, b"{}")
    assert seen == [1, 1, 2]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf",
        b"SSH-2.0-x\r\nconnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_whole_answer_is_an_error(answer: bytes) -> None:
    with answering(answer) as (url, _), pytest.raises(wire.WireError):
        wire.Peer(url).request("GET", "/x", {}, timeout=5)


def test_an_answer_that_began_tells_its_status() -> None:
    half = b"HTTP/1.1 202 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf"
    with answering(half) as (url, _), pytest.raises(wire.Torn) as torn:
        wire.Peer(url).request("GET", "/x", {})
    assert (torn.value.status, torn.value.headers["content-length"]) == (202, "9")


def test_the_client_itself_gives_up_without_a_head_and_without_the_rest() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for ask in (wire.Peer(url, patience=0.05).open, wire.Peer(url, patience=0.05).request):
            with pytest.raises(wire.TimedOut):
                ask(*(("/", {}) if ask.__name__ == "open" else ("GET", "/", {})))  # type: ignore
    half = b"HTTP/1.1 202 OK\r\ncontent-length: 9\r\n\r\nhalf"
    with answering(half, b"") as (url, _), pytest.raises(wire.Torn) as torn:
        wire.Peer(url, patience=0.05).request("GET", "/x", {})
    assert torn.value.status == 202


def test_a_refused_connection_and_a_late_answer_have_names_of_their_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(wire.TimedOut):
            wire.Peer(url).request("GET", "/", {}, timeout=0.05)
    with pytest.raises(wire.Refused):
        wire.Peer(url).request("GET", "/", {})


def test_a_proxy_is_asked_for_a_way() -> None:
    way, answer = b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    with answering(way, answer) as (url, seen):
        proxy = url.removesuffix("/x")
        got = wire.Peer("http://raft.test/x", proxy).request("GET", "/x", {}, timeout=5)
    assert (got.body, seen) == (b"hi", [1, 1])
    no = b"HTTP/1.1 403 No\r\nconnection: close\r\n\r\n"
    with answering(no) as (url, _), pytest.raises(wire.WireError, match="CONNECT with 403"):
        wire.Peer("http://raft.test/x", url.removesuffix("/x")).request("GET", "/x", {})


def test_only_http_is_spoken() -> None:
    with pytest.raises(ValueError, match="not an http:// URL"):
        wire.Peer("https://127.0.0.1/")
