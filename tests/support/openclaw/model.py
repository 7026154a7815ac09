"""``python -m tests.support.openclaw.model``: an OpenAI-style model that plays an agent.

======================== ==================================================================
``POST …/completions``   the next answer (see ``model_turn``), whole or as an event stream
``GET /calls``           calls and runs so far (see ``model_runs``)
``POST /control``        ``{"delay": 2, "times": 1}``: what to do with the next calls, as the
                         command's options; what is not named is as it was at the start
``POST /killed``         whoever led the open runs was killed
======================== ==================================================================

In a test::

    with running_model() as model:
        model.behave(delay=3)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.openclaw import model_turn, model_wire
from tests.support.openclaw.model_runs import DROPPED, FINISHED, Runs
from tests.support.openclaw.model_turn import Reply

#: How often a call that waits looks whether its caller is gone.
LOOK = 0.01


@dataclass(frozen=True)
class Behaviour:
    #: Seconds before each answer.
    delay: float = 0.0
    #: Take the call and never answer.
    hang: bool = False
    #: Refuse with this status; 0 answers.
    status: int = 0
    #: Close the connection without an answer.
    drop: bool = False
    #: Answer with text alone: an agent that does nothing.
    idle: bool = False
    #: So many calls, then as at the start; None: until told otherwise.
    times: int | None = None


class Model:
    """A served model. ``url`` is its base URL; the API lies below ``/v1``."""

    def __init__(self, behaviour: Behaviour = Behaviour(), port: int = 0) -> None:
        self.runs = Runs()
        self._first = self._now = behaviour
        self._version = 0
        self._changed = threading.Condition()
        self._server = _Server(("127.0.0.1", port), type("Bound", (_Handler,), {"model": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def behave(self, **changes: Any) -> None:
        """From the next call on, and for those that wait. Raises ``TypeError``."""
        with self._changed:
            self._now = replace(self._first, **changes)
            self._version += 1
            self._changed.notify_all()

    def wait(self, caller: socket.socket) -> tuple[Behaviour, bool]:
        """What this call meets, after its delay, and whether the caller is there still."""
        begun = time.monotonic()
        with self._changed:
            met, version = self._now, self._version
            if met.times is not None:
                self._now = replace(met, times=met.times - 1) if met.times > 1 else self._first
            while (left := begun + met.delay - time.monotonic()) > 0 or met.hang:
                self._changed.wait(LOOK if met.hang else min(LOOK, left))
                if _gone(caller):
                    return met, False
                if self._version != version:
                    met, version = self._now, self._version
        return met, True

    def told(self) -> dict[str, Any]:
        return {**self.runs.told(), "behaviour": asdict(self._now)}

    def close(self) -> None:
        self.behave()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for this host's name.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that is killed is what this is for."""


class _Handler(BaseHTTPRequestHandler):
    model: Model
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what is said here belongs in no log."""

    def do_GET(self) -> None:
        if self.path == "/calls":
            self._json(200, self.model.told())
        else:
            self._json(404, {"error": {"message": "no such route"}})

    def do_POST(self) -> None:
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}")
            if self.path == "/control":
                self.model.behave(**body)
                self._json(200, self.model.told())
            elif self.path == "/killed":
                self.model.runs.close_all("killed")
                self._json(200, self.model.told())
            else:
                self._complete(body)
        except OSError:
            self.close_connection = True
        except (ValueError, TypeError, KeyError) as error:
            self._json(400, {"error": {"message": str(error)}})

    def _complete(self, body: dict[str, Any]) -> None:
        runs, messages = self.model.runs, body["messages"]
        run = runs.begin_call(model_turn.where(messages))
        behaviour, there = self.model.wait(self.connection)
        tools = [tool.get("function", {}).get("name") for tool in body.get("tools") or ()]
        reply = model_turn.reply(messages, () if behaviour.idle else tools)
        how = _how(behaviour, there, reply)
        # Over before it is sent: whoever acts on the answer must find it so.
        runs.end_call(run, how)
        if how == DROPPED:
            self.close_connection = True
        elif behaviour.status:
            error = {"message": "injected", "type": "injected", "code": behaviour.status}
            self._json(behaviour.status, {"error": error})
        elif body.get("stream"):
            self._stream(reply)
        else:
            self._json(200, model_wire.completion(reply))

    def _stream(self, reply: Reply) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(model_wire.events(reply))
        self.close_connection = True

    def _json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _how(behaviour: Behaviour, there: bool, reply: Reply) -> str:
    """How a run ends with this answer; "" if it goes on."""
    if behaviour.drop or not there:
        return DROPPED
    if behaviour.status:
        return f"status {behaviour.status}"
    return "" if reply.commands else FINISHED


def _gone(caller: socket.socket) -> bool:
    if not select.select([caller], [], [], 0)[0]:
        return False
    return not caller.recv(1, socket.MSG_PEEK)


@contextlib.contextmanager
def running_model(**behaviour: Any) -> Iterator[Model]:
    model = Model(Behaviour(**behaviour))
    try:
        yield model
    finally:
        model.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="model", description="A fake model.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--status", type=int, default=0, help="refuse every call with it")
    for flag in ("hang", "drop", "idle"):
        parser.add_argument(f"--{flag}", action="store_true")
    options = vars(parser.parse_args())
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    model = Model(port=options.pop("port"), behaviour=Behaviour(**options))
    print(f"A model listens on {model.url}", flush=True)
    ended.wait()
    model.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
