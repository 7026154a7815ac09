"""gunicorn's threaded worker without gunicorn's arbiter: supervisord is the arbiter here.

What happens, in order: the socket listens; ``ready(port)``; the loop runs; SIGTERM or SIGINT
calls ``on_term`` and nothing else, so that the bridge can go first, while the endpoint refuses
its last wakes with 503; ``finish()`` ends the loop; ``serve`` returns. Pool threads may still be
stuck in a request then: the caller ends the process with ``os._exit``.

No connection costs a thread before its request has arrived whole. A thread that waits for a slow
sender is a thread that takes no wake, and four half-sent requests hold up gunicorn's four threads.
Here every connection is read, without blocking, in the worker's own poller loop; the thread gets
the bytes and never reads the socket. A connection's life::

    accepted --arrived whole, or too large--> a thread's: the endpoint answers --> lingering
        |----nonsense, too slow, too many---> answered here ---------------------> lingering
        |----gone---------------------------------------------------------------> closed
    lingering --the peer closed, or time is up--> closed

Lingering: closing a socket with unread bytes resets the connection, and the peer, which may
still be sending, loses the answer. gunicorn waits for that in this very loop, up to 2 s.

gunicorn documents its settings, not what this module leans on: ``create_sockets``,
``Config`` set without a file, a worker made and run by hand (``Worker.__init__``,
``init_process``, ``init_signals``, ``app.wsgi()``), the turns of ``ThreadWorker.run`` (``accept``,
``wait_for_and_dispatch_events``, ``murder_pending``, ``nr_conns``, ``alive``, ``handle_exit``),
``enqueue_req``, ``handle_request``, ``handle_error``, ``finish_request``, ``TConn``, and
``RequestParser`` over bytes. Besides, ``endpoint`` takes its parser's
``ParseException``. ``setup.cfg`` holds it below the next
major version, and ``tests/unit/test_contracts.py`` says what moved.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http import errors as http_errors
from gunicorn.sock import create_sockets
from gunicorn.workers.gthread import TConn, ThreadWorker

from raftsup.log import say
from raftsup.wake import Refused
from raftsup.worker.request_buffer import Arrival, Limits, response

log = logging.getLogger("raftsup.worker")

#: What reading a request's body raises where its framing is wrong.
BadFraming = http_errors.ParseException
#: Requests answered at once. One wake is a commit of less than a millisecond.
THREADS = 4

#: Each is here because its default reads the environment, trusts the peer, shares a file with
#: other instances, keeps connections, depends on what is installed or allows more than a wake
#: needs.
SETTINGS: dict[str, Any] = {
    "bind": "127.0.0.1:0",
    "workers": 1,
    "threads": THREADS,
    "keepalive": 0,
    "control_socket_disable": True,
    "forwarded_allow_ips": "",
    "http_parser": "python",
    "limit_request_line": 2048,
    "limit_request_fields": 64,
    "limit_request_field_size": 4096,
    # Not "-": that is where an application's wsgi.errors would go.
    "errorlog": os.devnull,
}


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


class Finish:
    """Ends a ``serve``: called from any thread or signal handler, before, in or after it."""

    def __init__(self) -> None:
        self._called = threading.Event()
        self._worker: IntakeWorker | None = None

    def __call__(self) -> None:
        self._called.set()
        worker = self._worker
        if worker is not None:
            worker.end()

    def bind(self, worker: IntakeWorker | None) -> None:
        """For ``serve``: the worker to end from now on, at once if it was called already."""
        self._worker = worker
        if worker is not None and self._called.is_set():
            worker.end()


@functools.cache
def config() -> Config:
    """gunicorn's settings for this process and those forked from it: building them anew would
    cost each worker a megabyte and some milliseconds.
    """
    cfg = Config()
    for name, value in SETTINGS.items():
        cfg.set(name, value)
    return cfg


def serve(
    app: Callable[..., Any],
    *,
    ready: Callable[[int], None],
    on_term: Callable[[], None],
    finish: Finish,
    limits: Limits | None = None,
    grace: int = 2,
) -> None:
    """Serve the WSGI ``app`` on 127.0.0.1 and an ephemeral port until ``finish()``.

    ``ready`` gets the port when the endpoint listens, in this thread, which is to be the main
    one; connections wait in the backlog until it returns. ``on_term`` is a signal handler's body:
    it starts the stop and returns; each further signal calls it again. ``grace``: whole seconds
    for requests under way when ``finish()`` is called. Returns also when this process's parent
    is gone.
    """
    # gunicorn lets it rewrite every request's path.
    os.environ.pop("SCRIPT_NAME", None)
    cfg = config()
    cfg.set("graceful_timeout", grace)

    def begin(worker: IntakeWorker) -> None:
        ready(port)
        finish.bind(worker)

    cfg.set("post_worker_init", begin)
    quiet = _Log(log, {})
    sockets = create_sockets(cfg, quiet)
    port: int = sockets[0].getsockname()[1]
    worker = IntakeWorker(
        1,
        os.getppid(),
        sockets,
        _Application(app),
        cfg.timeout,
        cfg,
        quiet,
        limits=limits or Limits(),
        on_term=on_term,
    )
    try:
        worker.init_process()
    finally:
        finish.bind(None)


class _Application:
    """The one method of a gunicorn application that its workers call."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    def wsgi(self) -> Callable[..., Any]:
        return self._app


class _Log(logging.LoggerAdapter[logging.Logger]):
    """gunicorn's log: warnings and worse, to the worker's own logger. No access log."""

    def isEnabledFor(self, level: int) -> bool:
        return level >= logging.WARNING and super().isEnabledFor(level)

    def access(self, *_request: Any) -> None:
        return

    def reopen_files(self) -> None:
        return

    def close_on_exec(self) -> None:
        return
