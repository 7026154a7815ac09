"""A small HTTP/1.1 client over plain sockets.

``http.client`` alone costs more start-up time than a whole ``raft`` command should take, and the
bridge needs the raw socket of its event stream. Plain http and loopback only: this is a
simulator.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping
from typing import NamedTuple

#: A pooled connection that idled longer is not used again (what Node's client does).
MAX_IDLE = 4.0
MAX_HEAD = 64 * 1024
#: Seconds until the head of an answer, and between two pieces of its body, after which Node's
#: client gives up by itself (measured).
PATIENCE = 300.0


class WireError(Exception):
    """The exchange did not end in an HTTP answer."""


class Refused(WireError):
    """Nobody listens there."""


class TimedOut(WireError):
    """No whole answer came within the timeout."""


class Torn(WireError):
    """An answer began and did not end."""

    def __init__(self, why: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(why)
        self.status, self.headers = status, headers


class Answer(NamedTuple):
    status: int
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes


class Stream(NamedTuple):
    """An answer whose body is still coming: read ``sock`` after ``head_rest``."""

    status: int
    headers: Mapping[str, str]
    sock: socket.socket
    head_rest: bytes


class Peer:
    """One server, and at most one pooled connection to it. Not thread-safe."""

    def __init__(self, url: str, proxy: str | None = None, patience: float = PATIENCE) -> None:
        """``url`` is ``http://host[:port][/path]``, so is ``proxy``, by which it is reached.
        Raises ``ValueError`` for any other.
        """
        self._patience = patience
        self.authority, self.path, self._address = _parts(url)
        self._proxy = _parts(proxy)[2] if proxy else None
        self._pooled: tuple[socket.socket, float] | None = None

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: float | None = None,
    ) -> Answer:
        """One exchange, whole within ``timeout`` seconds (None: while pieces of it come). Raises
        ``WireError``.
        """
        deadline = _deadline(timeout)
        sock = self._connection(timeout)
        try:
            sock.sendall(_head(method, path, self.authority, headers, body) + body)
            status, answered, rest = _read_head(sock, self._soon(deadline))
            reader = _Reader(sock, self._patience, deadline)
            content, reusable = _whole_body(reader, status, answered, rest)
        except OSError as error:
            sock.close()
            raise _as_wire_error(error) from error
        except BaseException:
            sock.close()
            raise
        if reusable:
            self._pooled = (sock, time.monotonic())
        else:
            sock.close()
        return Answer(status, answered, content)

    def open(self, path: str, headers: Mapping[str, str]) -> Stream:
        """Ask for a stream; returns when its head has come. Raises ``WireError``."""
        deadline = self._soon(None)
        sock = self._connect(None)
        try:
            sock.sendall(_head("GET", path, self.authority, headers, b""))
            status, answered, rest = _read_head(sock, deadline)
        except OSError as error:
            sock.close()
            raise _as_wire_error(error) from error
        except BaseException:
            sock.close()
            raise
        return Stream(status, answered, sock, rest)

    def _soon(self, deadline: float | None) -> float:
        soon = time.monotonic() + self._patience
        return soon if deadline is None else min(soon, deadline)

    def _connection(self, timeout: float | None) -> socket.socket:
        pooled, self._pooled = self._pooled, None
        if pooled is not None:
            sock, used = pooled
            # Readable while idle means that the server has closed it.
            if time.monotonic() - used < MAX_IDLE and not select.select([sock], [], [], 0)[0]:
                sock.settimeout(timeout)
                return sock
            sock.close()
        return self._connect(timeout)

    def _connect(self, timeout: float | None) -> socket.socket:
        try:
            sock = socket.create_connection(self._proxy or self._address, timeout=timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._tunnelled(sock, timeout) if self._proxy else sock
        except ConnectionRefusedError as error:
            raise Refused(f"{self.authority} refuses connections") from error
        except OSError as error:
            raise _as_wire_error(error) from error

    def _tunnelled(self, sock: socket.socket, timeout: float | None) -> socket.socket:
        target = "{}:{}".format(*self._address)
        sock.sendall(f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n".encode())
        status, _, _ = _read_head(sock, _deadline(timeout))
        if status != 200:
            sock.close()
            raise WireError(f"the proxy answered CONNECT with {status}")
        return sock


def _parts(url: str) -> tuple[str, str, tuple[str, int]]:
    """Authority, path and address. Raises ``ValueError``."""
    scheme, separator, rest = url.partition("://")
    if scheme != "http" or not separator:
        raise ValueError(f"{url!r} is not an http:// URL")
    authority, _, path = rest.partition("/")
    host, _, port = authority.rpartition(":")
    return authority, "/" + path, (host.strip("[]") or authority, int(port) if host else 80)


def _as_wire_error(error: OSError) -> WireError:
    if isinstance(error, TimeoutError):
        return TimedOut("no answer in time")
    return WireError(f"connection lost: {error.strerror or error}")


def _head(method: str, path: str, authority: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"host: {authority}", "accept: */*"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"content-length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _receive(sock: socket.socket, deadline: float | None) -> bytes:
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise TimedOut("no answer in time")
    sock.settimeout(left)
    return sock.recv(65536)


def _read_head(sock: socket.socket, deadline: float | None) -> tuple[int, dict[str, str], bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = _receive(sock, deadline)
        if not more:
            raise WireError("connection closed before an answer")
        data += more
        if len(data) > MAX_HEAD:
            raise WireError("the answer has no end of head")
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        raise WireError("the answer is not HTTP")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    # What a stranger's HTTP/1.0 answer leaves open ends with its connection.
    if parts[0] == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return int(parts[1]), headers, rest


class _Reader(NamedTuple):
    """Pieces of a body."""

    sock: socket.socket
    patience: float
    deadline: float | None = None

    def more(self) -> bytes:
        """Empty at the end. Raises ``WireError``, at the deadline ``TimedOut``."""
        soon = time.monotonic() + self.patience
        if self.deadline is not None and self.deadline <= soon:
            return _receive(self.sock, self.deadline)
        try:
            return _receive(self.sock, soon)
        except (TimeoutError, TimedOut):
            raise WireError("the rest of the answer does not come") from None


def _whole_body(
    reader: _Reader, status: int, headers: Mapping[str, str], rest: bytes
) -> tuple[bytes, bool]:
    try:
        return _read_body(reader, status, headers, rest)
    except (TimeoutError, TimedOut):
        raise
    except (OSError, WireError) as error:
        raise Torn(str(error), status, headers) from error


def _read_body(
    reader: _Reader, status: int, headers: Mapping[str, str], rest: bytes
) -> tuple[bytes, bool]:
    """The body, and whether the connection can carry another exchange."""
    keep = headers.get("connection", "").lower() != "close"
    if status in (204, 304):
        return b"", keep
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _read_chunks(reader, rest), False
    length = headers.get("content-length", "")
    if not length.isdigit():
        return _read_to_end(reader, rest), False
    while len(rest) < int(length):
        rest += reader.more() or _closed()
    return rest[: int(length)], keep


def _read_to_end(reader: _Reader, rest: bytes) -> bytes:
    while more := reader.more():
        rest += more
    return rest


def _read_chunks(reader: _Reader, rest: bytes) -> bytes:
    body = b""
    while True:
        while b"\r\n" not in rest:
            rest += reader.more() or _closed()
        size_line, _, rest = rest.partition(b"\r\n")
        try:
            size = int(size_line.partition(b";")[0], 16)
        except ValueError as error:
            raise WireError("a chunk of the answer has no size") from error
        if size == 0:
            return body
        while len(rest) < size + 2:
            rest += reader.more() or _closed()
        body, rest = body + rest[:size], rest[size + 2 :]


def _closed() -> bytes:
    raise WireError("connection closed in the middle of an answer")


def rest_of(stream: Stream) -> bytes:
    """The whole body of a stream that turned out to be none; closes it."""
    try:
        reader = _Reader(stream.sock, PATIENCE)
        return _read_body(reader, stream.status, stream.headers, stream.head_rest)[0]
    except (OSError, WireError):
        return b""
    finally:
        stream.sock.close()
