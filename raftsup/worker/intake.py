"""The way in: no connection costs a thread before its request has arrived whole.

A thread that waits for a slow sender is a thread that takes no wake, and four half-sent requests
hold up gunicorn's four threads. Here every connection is read, without blocking, in the worker's
own poller loop; the thread gets the bytes and never reads the socket. A connection's life::

    accepted --arrived whole, or too large--> a thread's: the endpoint answers --> lingering
        |----nonsense, too slow, too many---> answered here ---------------------> lingering
        |----gone---------------------------------------------------------------> closed
    lingering --the peer closed, or time is up--> closed

Lingering: closing a socket with unread bytes resets the connection, and the peer, which may
still be sending, loses the answer. gunicorn waits for that in this very loop, up to 2 s.
"""

from __future__ import annotations

import errno
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from gunicorn.http import RequestParser
from gunicorn.http import errors as http_errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from raftsup.log import say
from raftsup.wake import Refused
from raftsup.worker.request_buffer import Arrival, Limits, response

log = logging.getLogger("raftsup.worker")

READ_SIZE = 64 * 1024
#: Connections taken from the listener before the loop looks at the others again.
ACCEPT_BURST = 64


@dataclass
class _Waiting:
    """A connection in the loop: arriving, or lingering after its answer (``arrival`` None)."""

    conn: TConn
    deadline: float
    arrival: Arrival | None


class IntakeWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker with the intake in front of its threads."""

    def __init__(self, *args: Any, limits: Limits, on_term: Callable[[], None]) -> None:
        super().__init__(*args)
        self.limits = limits
        self.on_term = on_term
        # Each in the order of its deadlines, since all wait equally long.
        self.arriving: dict[socket.socket, _Waiting] = {}
        self.lingering: dict[socket.socket, _Waiting] = {}

    def init_signals(self) -> None:
        # In place of gunicorn's, where a TERM ends the loop at once and leaves the bridge without
        # its endpoint. The other signals are the process's own business.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self.on_term())

    def end(self) -> None:
        """End the loop, from any thread: what arrives is refused, what was taken is answered."""
        self.handle_exit(None, None)

    # What gunicorn's loop calls

    def accept(self, listener: Any) -> None:
        for _ in range(ACCEPT_BURST):
            try:
                sock, client = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                full = error.errno in (errno.EMFILE, errno.ENFILE)
                if error.errno == errno.ECONNABORTED or (full and self._drop_oldest()):
                    return
                raise
            self.nr_conns += 1
            if len(self.arriving) + len(self.lingering) >= self.limits.connections:
                self._drop_oldest()
            conn = TConn(self.cfg, sock, client, listener.getsockname())
            deadline = time.monotonic() + self.limits.arrival
            self._watch(_Waiting(conn, deadline, Arrival()))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        for kind in (self.arriving, self.lingering):
            for waiting in islice(kind.values(), 1):
                timeout = min(timeout, max(0.0, waiting.deadline - time.monotonic()))
        super().wait_for_and_dispatch_events(timeout)

    def murder_pending(self) -> None:
        """Called once a turn of the loop, also of the last ones after ``end``."""
        now = time.monotonic()
        while self.arriving:
            waiting = next(iter(self.arriving.values()))
            if not self.alive:
                self._refuse(waiting, Refused(503, "this account's worker is stopping", 2_000))
            elif waiting.deadline <= now:
                self._refuse(waiting, self._too_slow())
            else:
                break
        while self.lingering:
            waiting = next(iter(self.lingering.values()))
            if waiting.deadline > now:
                break
            self._close(waiting)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        # The intake has said 100 where somebody waited for it.
        req._expected_100_continue = False
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """What gunicorn cannot read, or we cannot answer, in the endpoint's words.

        gunicorn's own would log and echo the offending line, which may hold the token.
        """
        refused = next((r for kind, r in _UNREADABLE if isinstance(exc, kind)), None)
        if refused is None:
            log.error(say("endpoint.broke", reason=type(exc).__name__))
            refused = Refused(500, "an error of this endpoint; its log has it")
        client.sendall(response(refused))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        self._linger(conn)

    # One connection's way

    def _kind(self, waiting: _Waiting) -> dict[socket.socket, _Waiting]:
        return self.lingering if waiting.arrival is None else self.arriving

    def _watch(self, waiting: _Waiting) -> None:
        sock = waiting.conn.sock
        self._kind(waiting)[sock] = waiting
        self.poller.register(sock, selectors.EVENT_READ, partial(self._on_readable, waiting))

    def _forget(self, waiting: _Waiting) -> None:
        if self._kind(waiting).pop(waiting.conn.sock, None):
            self.poller.unregister(waiting.conn.sock)

    def _on_readable(self, waiting: _Waiting, sock: socket.socket) -> None:
        if sock not in self._kind(waiting):
            return  # dropped for another one in this turn of the loop
        try:
            data = sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if waiting.arrival is None:
            if not data:
                self._close(waiting)
            return
        try:
            self._advance(waiting, waiting.arrival, data)
        except Refused as refused:
            self._refuse(waiting, refused)

    def _advance(self, waiting: _Waiting, arrival: Arrival, data: bytes) -> None:
        if not data:
            if arrival.raw:
                raise Refused(400, "the request ends in the middle")
            self._close(waiting)
            return
        if not arrival.feed(data):
            if arrival.wants_continue():
                _send(waiting.conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._forget(waiting)
        # A parser over the bytes in place of the socket: whatever it makes of them, no thread
        # ever waits for more.
        conn = waiting.conn
        conn.parser = RequestParser(self.cfg, nothing_after(bytes(arrival.raw)), conn.client)
        conn.initialized = True
        self.enqueue_req(conn)

    def _refuse(self, waiting: _Waiting, refused: Refused) -> None:
        self._forget(waiting)
        _send(waiting.conn.sock, response(refused))
        self._linger(waiting.conn)

    def _linger(self, conn: TConn) -> None:
        waiting = _Waiting(conn, time.monotonic() + self.limits.linger, None)
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the peer is gone
            self._close(waiting)
            return
        self._watch(waiting)

    def _close(self, waiting: _Waiting) -> None:
        self._forget(waiting)
        self.nr_conns -= 1
        waiting.conn.close()

    def _drop_oldest(self) -> bool:
        """Make room; first goes who has an answer already. False if nobody is there."""
        for kind in (self.lingering, self.arriving):
            for waiting in kind.values():
                if waiting.arrival is not None:
                    _send(waiting.conn.sock, response(self._too_slow()))
                self._close(waiting)
                return True
        return False

    def _too_slow(self) -> Refused:
        return Refused(408, f"the request did not arrive within {self.limits.arrival:g} s")


#: What gunicorn's parser refuses, the special before the general.
_UNREADABLE: tuple[tuple[type[Exception], Refused], ...] = (
    (http_errors.LimitRequestLine, Refused(414, "the request line is too long")),
    (http_errors.LimitRequestHeaders, Refused(431, "the headers are too many or too long")),
    (http_errors.ExpectationFailed, Refused(417, "no expectation but 100-continue is met")),
    (http_errors.UnsupportedTransferCoding, Refused(501, "no transfer coding but chunked is read")),
    (http_errors.ParseException, Refused(400, "the request is not valid HTTP/1.1")),
)


def nothing_after(raw: bytes) -> Iterator[bytes]:
    """All that gunicorn's parser gets to read. A request that asks for more is malformed."""
    yield raw
    raise http_errors.ParseException("the request is cut short")


def _send(sock: socket.socket, data: bytes) -> None:
    # A few hundred bytes on a connection that got none: the kernel takes them or the peer is gone.
    try:
        sock.send(data)
    except OSError as error:
        log.debug("an answer was not sent: %s", error.strerror)
