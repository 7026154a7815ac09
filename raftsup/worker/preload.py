"""What every worker would build for itself, built once in the parent and shared by all.

The application, gunicorn's settings, and what the first request loads and caches: some
milliseconds and megabytes for each account. Nothing here opens a file, a socket or a thread.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import falcon

from raftsup.ledger import Accepted
from raftsup.worker import http_server
from raftsup.worker.endpoint import Endpoint, Slot, app_for

#: Refuses everything; never served.
_NOBODY = Endpoint(
    token="",
    port=lambda: 0,
    runtime_session=lambda: "",
    accept=lambda wake: Accepted(0, duplicate=True),
    state=lambda: "starting",
    stopping=lambda: True,
    count=lambda what: None,
    ring=lambda: None,
    drain=lambda most: ([], 0),
)


@functools.cache
def application() -> tuple[falcon.App, Slot]:
    """The application, and the slot for the contract that it is to serve."""
    slot = Slot(_NOBODY)
    return app_for(slot), slot


def preload() -> None:
    """Build it all now. For the parent, before it forks."""
    http_server.config()
    app, _ = application()
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/health",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1:0",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
    }
    # Falcon compiles its routes at the first request.
    list(app(environ, _start_response))


def _start_response(
    status: str, headers: object, exc_info: object = None
) -> Callable[[bytes], object]:
    return lambda data: None
