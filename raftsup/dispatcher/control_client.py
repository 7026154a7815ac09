"""Speaking to the dispatcher: the workers' doorbell, and requests of commands."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from raftsup import exit_codes
from raftsup.errors import RaftsupError


class DispatcherDown(RaftsupError):
    """Nobody answers at the dispatcher's socket."""

    exit_code = exit_codes.NOT_RUNNING


class DispatcherRefused(RaftsupError):
    """The dispatcher will not do it; the message says why."""


class Doorbell:
    """Rings the dispatcher from any thread. Never waits, never raises.

    A ring that is lost costs latency, never a wake: the dispatcher also looks by itself.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def ring(self) -> None:
        with self._lock:
            # The second try is for a dispatcher that was restarted since the last ring.
            for _ in range(2):
                try:
                    if self._socket is None:
                        self._socket = self._connect()
                    self._socket.send(b'{"verb":"doorbell"}\n')
                    return
                except BlockingIOError:
                    return  # its buffer is full of rings already
                except OSError:
                    self._hang_up()

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def request(path: Path, verb: str, timeout: float = 5.0, **fields: object) -> dict[str, Any]:
    """Ask the dispatcher; its answer. Raises ``DispatcherDown`` or ``DispatcherRefused``."""
    # Nothing is buffered on the way out: what could not be sent would be sent again at the end.
    with _connected(path, timeout) as connection, connection.makefile("rb") as stream:
        try:
            connection.sendall(orjson.dumps({"verb": verb, **fields}) + b"\n")
            answer = orjson.loads(stream.readline())
        except (OSError, orjson.JSONDecodeError) as error:
            raise DispatcherDown(f"{path}: no answer within {timeout:g} s") from error
    if not answer.pop("ok"):
        raise DispatcherRefused(answer["error"])
    return dict(answer)


@contextlib.contextmanager
def _connected(path: Path, timeout: float) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
        except OSError as error:
            raise DispatcherDown(f"{path}: {error.strerror}") from error
        yield connection
