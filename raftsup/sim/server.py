"""The workspace's server: starts, stops listening for a while, ends.

In a test::

    with running_workspace(["support"], raft_home=tmp_path) as raft:
        raft.workspace.post("support", "hello")
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from raftsup.sim import profiles
from raftsup.sim.control import House, renew_token
from raftsup.sim.faults import Fault, FaultBoard
from raftsup.sim.routes import SCOPES, SERVER_ID, Handler
from raftsup.sim.workspace import Workspace

#: The true server's interval of ``: ka`` comments, in seconds.
KEEPALIVE = 25.0


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
    # Closing must not wait for streams and stalled requests: they are closed under it.
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[Handler]) -> None:
        super().__init__(address, handler, bind_and_activate=False)
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for this host's name.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection closed under its handler is what faults are for."""

    def cut_connections(self) -> None:
        with self._guard:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


class RunningWorkspace:
    """A served workspace. ``url`` is its base URL, the same for its whole life."""

    def __init__(
        self,
        workspace: Workspace,
        host: str = "127.0.0.1",
        port: int = 0,
        keepalive: float = KEEPALIVE,
        next: bool = False,
    ) -> None:
        self.workspace, self.next = workspace, next
        self.faults = FaultBoard()
        self._closing = threading.Event()
        house = House(workspace, self.faults, self._closing, keepalive, self.refuse, next)
        self._handler = type("BoundHandler", (Handler,), {"house": house})
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._server = self._bind((host, port))
        self._address: tuple[str, int] = self._server.server_address[:2]  # type: ignore[assignment]
        self.url = f"http://{host}:{self._address[1]}"
        self._listening = False
        self.listen()

    def listen(self) -> None:
        """Listen again after ``refuse``; nothing if it does."""
        with self._lock:
            if self._listening or self._closing.is_set():
                return
            self._listening = True
            server = self._server
            server.server_activate()
            threading.Thread(
                target=server.serve_forever, args=(0.05,), name="raft-sim", daemon=True
            ).start()

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse connections and cut the open ones, for ``seconds`` or until ``listen``."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._stop_listening()
            # Bound but not listening: the port stays ours and refuses.
            self._server = self._bind(self._address)
            if seconds is not None:
                self._timer = threading.Timer(seconds, self.listen)
                self._timer.daemon = True
                self._timer.start()

    def fault(self, kind: str, **details: Any) -> int:
        """Set a fault (see ``faults``), let the streams notice; returns its id."""
        id = self.faults.set(Fault(kind, **details))
        self.workspace.nudge()
        return id

    def renew_token(self, agent: str) -> str:
        """Another token for an agent; the one that it had is revoked. Raises ``UnknownAgent``."""
        return renew_token(self.workspace, self.faults, agent).token

    def clear_faults(self) -> None:
        self.faults.clear()
        self.workspace.nudge()

    def write_profile(self, raft_home: Path, agent: str, name: str | None = None) -> Path:
        """Sign in as that agent, as ``agent login`` would; the profile's name is the agent's by
        default. Returns the credential's path.
        """
        found = self.workspace.find(agent)
        slug = name or found.name
        profile = profiles.Profile(
            slug,
            found.id,
            self.url,
            found.token,
            SERVER_ID,
            found.name,
            f"cred-{found.id}",
            SCOPES,
        )
        return profiles.write(profiles.profiles_in(raft_home) / slug, profile)

    def close(self) -> None:
        with self._lock:
            self._closing.set()
            self.workspace.nudge()
            if self._timer is not None:
                self._timer.cancel()
            self._stop_listening()

    def _bind(self, address: tuple[str, int]) -> _Server:
        server = _Server(address, self._handler)
        server.server_bind()
        return server

    def _stop_listening(self) -> None:
        if self._listening:
            self._server.shutdown()
            self._listening = False
        self._server.server_close()
        self._server.cut_connections()


def start(
    agents: Iterable[str],
    raft_home: Path | None = None,
    port: int = 0,
    keepalive: float = KEEPALIVE,
    next: bool = False,
) -> RunningWorkspace:
    """Serve a fresh workspace with these agents; with ``raft_home``, a profile for each."""
    workspace = Workspace()
    running = RunningWorkspace(workspace, port=port, keepalive=keepalive, next=next)
    for agent in agents:
        workspace.add_agent(agent)
        if raft_home is not None:
            running.write_profile(raft_home, agent)
    return running


@contextlib.contextmanager
def running_workspace(
    agents: Iterable[str],
    raft_home: Path | None = None,
    port: int = 0,
    keepalive: float = KEEPALIVE,
    next: bool = False,
) -> Iterator[RunningWorkspace]:
    running = start(agents, raft_home, port, keepalive, next)
    try:
        yield running
    finally:
        running.close()
