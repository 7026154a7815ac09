"""gunicorn's threaded worker without gunicorn's arbiter: supervisord is the arbiter here.

What happens, in order: the socket listens; ``ready(port)``; the loop runs; SIGTERM or SIGINT
calls ``on_term`` and nothing else, so that the bridge can go first, while the endpoint refuses
its last wakes with 503; ``finish()`` ends the loop; ``serve`` returns. Pool threads may still be
stuck in a request then: the caller ends the process with ``os._exit``.

gunicorn documents its settings, not what ``serve`` and ``intake`` lean on: ``create_sockets``,
``Config`` set without a file, a worker made and run by hand (``Worker.__init__``,
``init_process``, ``init_signals``, ``app.wsgi()``), the turns of ``ThreadWorker.run`` (``accept``,
``wait_for_and_dispatch_events``, ``murder_pending``, ``nr_conns``, ``alive``, ``handle_exit``),
``enqueue_req``, ``handle_request``, ``handle_error``, ``finish_request``, ``TConn``, and
``RequestParser`` over bytes. Besides, ``endpoint`` takes its parser's
``ParseException``. ``setup.cfg`` holds it below the next
major version, and ``tests/unit/test_contracts.py`` says what moved.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from gunicorn.config import Config
from gunicorn.sock import create_sockets

from raftsup.worker.intake import IntakeWorker
from raftsup.worker.request_buffer import Limits

log = logging.getLogger("raftsup.worker")

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
