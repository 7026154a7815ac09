"""A true worker process around an in-memory ledger, and a raw client for it.

Run as a program it is the process: what happens in it goes to a file as one JSON list a line;
the line "finish" on standard input ends it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

TOKEN = "a-token-of-thirty-two-random-bytes"
#: The token of the one attempt that runs, where the child is started with HOOKS in its environment.
HOOK_TOKEN = "a-token-of-the-attempt-17.1"
DEADLINE = 20.0
ROOT = Path(__file__).parents[2]


def poll(condition: Callable[[], Any], what: str) -> Any:
    """Wait until ``condition`` gives something true."""
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < end, f"{what} did not happen within {DEADLINE} s"
        time.sleep(0.005)
    return result


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    #: What came after the body: nothing, on a connection that is closed after its answer.
    rest: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @staticmethod
    def read(sock: socket.socket) -> Answer:
        """Read up to the close, which so is part of what each caller tests."""
        sock.settimeout(DEADLINE)
        data = b""
        while piece := sock.recv(65536):
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])
        }
        length = int(headers.get("content-length", 0))
        return Answer(int(lines[0].split()[1]), headers, body[:length], body[length:])


class Child:
    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder
        _, self.port, self.pid = self.wait_for("ready")

    def events(self, kind: str) -> list[list[Any]]:
        lines = (self.folder / "events").read_text().splitlines(keepends=True)
        whole = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in whole if event[0] == kind]

    def wait_for(self, kind: str) -> list[Any]:
        def seen() -> list[list[Any]]:
            assert self.process.poll() in (None, 0, -signal.SIGKILL), self.stderr()
            return self.events(kind)

        found: list[Any] = poll(seen, kind)[-1]
        return found

    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    def connect(self, data: bytes = b"") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        sock.sendall(data)
        return sock

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        token: str | None = TOKEN,
        host: str | None = "own",
        extra: str = "",
        version: str = "1.1",
        length: bool = True,
    ) -> bytes:
        head = f"{method} {path} HTTP/{version}\r\n"
        if host is not None:
            head += f"host: {f'127.0.0.1:{self.port}' if host == 'own' else host}\r\n"
        if token is not None:
            head += f"x-raft-bridge-token: {token}\r\n"
        if body is not None and length:
            head += f"content-length: {len(body)}\r\n"
        return f"{head}{extra}\r\n".encode("latin-1") + (body or b"")

    def ask(self, method: str, path: str, body: bytes | None = None, **change: Any) -> Answer:
        return self.exchange(self.request(method, path, body, **change))

    def exchange(self, data: bytes) -> Answer:
        with self.connect(data) as sock:
            return Answer.read(sock)

    def holds(self, socks: Iterable[socket.socket]) -> bool:
        """Whether the process itself, not just its kernel, has all these connections."""
        mine = psutil.Process(self.pid).net_connections("tcp")
        held = {conn.raddr.port for conn in mine if conn.raddr}
        return held >= {sock.getsockname()[1] for sock in socks}

    def wait_until_accepted(self, socks: Iterable[socket.socket]) -> None:
        poll(lambda: self.holds(socks), "accepting the connections")

    def listens_on(self) -> list[tuple[str, int]]:
        mine = psutil.Process(self.pid).net_connections()
        return [tuple(conn.laddr) for conn in mine if conn.status == psutil.CONN_LISTEN]

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def finish(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"finish\n")
        self.process.stdin.flush()

    def orphan(self) -> None:
        """Kill the process between this one and the child."""
        self.process.kill()
        self.process.wait()

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE)


def refused(answer: Answer, status: int, failure_class: str) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["connection"] == "close"
    assert answer.json["ok"] is False
    assert answer.json["failureClass"] == failure_class
    assert isinstance(answer.json["error"], str)
    assert answer.json["error"]
    assert set(answer.json) <= {"ok", "error", "failureClass", "retryAfterMs"}


def post(child: Child, payload: object, **change: str | None) -> Answer:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return child.ask("POST", "/wake", body, **change)


@contextmanager
def start(folder: Path, env: dict[str, str] | None = None, orphan: bool = False) -> Iterator[Child]:
    """A running child. With ``orphan`` a process that can be killed stands in between."""
    (folder / "events").touch()
    argv = [sys.executable, "-m", "tests.integration.endpoint_child", str(folder / "events")]
    if orphan:
        between = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
        argv = [sys.executable, "-c", between, *argv]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
    pids = [process.pid]
    try:
        child = Child(process, folder)
        pids.append(child.pid)
        yield child
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
        if orphan and psutil.pid_exists(pids[-1]):
            os.kill(pids[-1], signal.SIGKILL)


def _activity() -> Any:
    from raftsup.worker.activity.subscriber import Queue

    waiting = Queue()
    for number in range(int(os.environ.get("ACTIVITY", "0"))):
        waiting.put({"eventId": number})
    return waiting


def main(events: Path) -> None:
    from raftsup.ledger import Accepted, LedgerUnavailable
    from raftsup.wake import Wake
    from raftsup.worker.endpoint import Endpoint, Hooks, make_app
    from raftsup.worker.http_server import Finish, serve
    from raftsup.worker.request_buffer import Limits

    lock = threading.Lock()
    seen: set[str] = set()
    stopping = threading.Event()
    ports: list[int] = []
    finish = Finish()

    def tell(*event: Any) -> None:
        with lock, events.open("a") as file:
            file.write(json.dumps(event) + "\n")

    def accept(wake: Wake) -> Accepted:
        match wake.identity:
            case "disk full":
                raise LedgerUnavailable("secret path", retry_after_ms=1234)
            case "bug":
                raise KeyError("payload value")
        with lock:
            duplicate = wake.identity in seen
            seen.add(wake.identity)
        tell("duplicate" if duplicate else "accept", wake.identity, wake.message_id)
        return Accepted(0, duplicate)

    def ring() -> None:
        tell("ring")
        if "no bell" in seen:
            raise ConnectionRefusedError

    def ready(port: int) -> None:
        ports.append(port)
        tell("ready", port, os.getpid())

    def on_term() -> None:
        stopping.set()
        tell("term")

    def listen_for_finish() -> None:
        if sys.stdin.readline().strip() == "finish":
            finish()

    threading.Thread(target=listen_for_finish, daemon=True).start()
    if "FINISH_FIRST" in os.environ:
        finish()
    limits = Limits(
        arrival=float(os.environ.get("ARRIVAL", "30")),
        linger=float(os.environ.get("LINGER", "1")),
        connections=int(os.environ.get("CONNECTIONS", "256")),
    )
    hooks = Hooks(
        run_of=lambda presented: (17, 1) if presented == HOOK_TOKEN else None,
        take=lambda run, report: tell("hook", run, report.hook, report.tool),
    )
    app = make_app(
        Endpoint(
            token=TOKEN,
            port=lambda: ports[0],
            runtime_session=lambda: "session-1",
            accept=accept,
            state=lambda: "stopping" if stopping.is_set() else "ready",
            stopping=stopping.is_set,
            count=lambda what: tell(what),
            ring=ring,
            drain=_activity().drain,
            hooks=hooks if "HOOKS" in os.environ else None,
        )
    )
    serve(app, ready=ready, on_term=on_term, finish=finish, limits=limits)
    tell("returned")
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
