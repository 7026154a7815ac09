"""What an accept is held against: a trivial Falcon endpoint, and a write that is made durable.

Run as a program it is the endpoint, ``intake`` on our worker class or ``gthread`` on gunicorn's
own, with the same settings; it prints its port.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon

_PAGE = 4096
#: Pages of the file that is written over and over, as a ledger's are.
_PAGES = 256


@contextlib.contextmanager
def endpoint(kind: str) -> Iterator[int]:
    """The port of a bare endpoint of ``kind``, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, __file__, kind], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Disk:
    """One page written and made durable, in a file whose pages exist already."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self._file, b"\0" * _PAGE * _PAGES, 0)
        os.fsync(self._file)
        self._next = 0

    def write(self) -> float:
        """Seconds that it took."""
        self._next = (self._next + 1) % _PAGES
        page = os.urandom(_PAGE)
        began = time.monotonic()
        os.pwrite(self._file, page, self._next * _PAGE)
        getattr(os, "fdatasync", os.fsync)(self._file)
        return time.monotonic() - began

    def close(self) -> None:
        os.close(self._file)


class _Trivial:
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.stream.read(16 * 1024)
        resp.status = falcon.HTTP_202
        resp.content_type = "application/json"
        resp.data = b'{"ok":true,"accepted":true}'


def main(kind: str) -> None:
    from gunicorn.workers.gthread import ThreadWorker

    from raftsup.worker import http_server

    def without_intake(*args: Any, **_ours: Any) -> ThreadWorker:
        return ThreadWorker(*args)

    if kind == "gthread":
        http_server.IntakeWorker = without_intake  # type: ignore[assignment, misc]
    app = falcon.App()
    app.add_route("/wake", _Trivial())
    finish = http_server.Finish()
    http_server.serve(
        app, ready=lambda port: print(port, flush=True), on_term=finish, finish=finish
    )


if __name__ == "__main__":
    main(sys.argv[1])
