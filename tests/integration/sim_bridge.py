"""A real bridge process, and a tiny wake endpoint that answers as a test tells it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Thing = TypeVar("Thing", bound="Endpoint | BridgeProcess")

RAFT = [sys.executable, "-m", "raftsup.sim.raft_cli"]
TOKEN = "wake-secret"
QUICK = {
    "RAFT_SIM_POLL": "0.2",
    "RAFT_SIM_FAST_RECONCILE": "0.1",
    "RAFT_SIM_RECONCILE": "60",
}
#: Nothing comes again by itself within a test.
CALM = {**QUICK, "RAFT_SIM_FAST_RECONCILE": "60"}
GOOD = (202, {"ok": True, "accepted": True, "runtimeSession": "s1"})


def wait_for(look: Callable[[], T], seconds: float = 10.0) -> T:
    """The first true value of ``look``; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "the awaited never came"
        time.sleep(0.01)
    return found


class Endpoint:
    """Records every wake; ``answer`` is looked up for each, after ``gate`` is open."""

    def __init__(self) -> None:
        self.wakes: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.drains = 0
        self.drained: list[tuple[str, str | None]] = []
        self.activity: list[dict[str, Any]] = []
        #: ``null``, or ``[null]`` for its events, in place of an answer.
        self.null_drain = ""
        self.answer: tuple[int, dict[str, Any]] = GOOD
        self.gate = threading.Event()
        self.gate.set()
        self.busy = self.most_busy = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {k.lower(): v for k, v in self.headers.items()}
                endpoint.busy += 1
                endpoint.most_busy = max(endpoint.most_busy, endpoint.busy)
                endpoint.wakes.append((headers | {"path": self.path}, body))
                endpoint.gate.wait(10)
                endpoint.busy -= 1
                self._send(*endpoint.answer)

            def do_GET(self) -> None:
                endpoint.drains += 1
                endpoint.drained.append((self.path, self.headers["x-raft-bridge-token"]))
                events, endpoint.activity = endpoint.activity, []
                body = {"schema": "raft-activity-drain.v1", "events": events, "dropped": 0}
                if endpoint.null_drain == "[null]":
                    body["events"] = [None]
                self._send(200, None if endpoint.null_drain == "null" else body)

            def _send(self, status: int, body: dict[str, Any] | None) -> None:
                data = json.dumps(body).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/wake"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def messages(self) -> list[str]:
        return [body["messageId"] for _, body in self.wakes]

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


class BridgeProcess:
    def __init__(
        self,
        raft_home: Path,
        endpoint_url: str,
        environ: Mapping[str, str],
        profile: str = "support",
        expected: str | None = "agent-support",
        flags: Sequence[str] = (),
        adapter: bool = True,
    ) -> None:
        others = ("RAFT_", "SLOCK_")
        base = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(others) and not k.lower().endswith("_proxy")
        }
        env = {**base, "RAFT_HOME": str(raft_home), "RAFT_CHANNEL_TOKEN": TOKEN, **environ}
        if expected is not None:
            env["RAFT_EXPECTED_AGENT_ID"] = expected
        self.err_path = raft_home / f"bridge-{time.monotonic_ns()}.err"
        self.out_path = self.err_path.with_suffix(".out")
        argv = [*RAFT, "--profile", profile, "agent", "bridge", *flags]
        argv += ["--wake-adapter", "wake-channel"] if adapter else []
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self.process = subprocess.Popen(
                [*argv, "--wake-channel-endpoint", endpoint_url, "--json"],
                env=env,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
            )

    def events(self) -> list[dict[str, Any]]:
        whole = self.out_path.read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def of_type(self, *types: str) -> list[dict[str, Any]]:
        return [e for e in self.events() if e.get("type") in types]

    def states(self) -> list[str]:
        return [e["state"] for e in self.events() if e.get("type") == "agent_comms.lifecycle"]

    def wake_results(self) -> list[dict[str, Any]]:
        """What became of each wake: the events without a ``type``."""
        return [e for e in self.events() if "type" not in e]

    def listening(self) -> None:
        """Wait for the end of a first pass."""
        wait_for(lambda: "listening_idle" in self.states())

    def stderr(self) -> str:
        return self.err_path.read_text()

    def ended(self, seconds: float = 10.0) -> int:
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)


@contextlib.contextmanager
def closing(thing: Thing) -> Iterator[Thing]:
    try:
        yield thing
    finally:
        thing.close()
