"""An account's process: endpoint, bridge, and the order in which they come and go.

Start: ledger, listening socket, bridge. Stop: the endpoint refuses, the bridge ends, the
endpoint closes. So a bridge never outlives its endpoint, and never meets one that is not there.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import falcon

from raftsup import exit_codes, hook_token, raft_home
from raftsup.config.model import Account, Config, Dedupe
from raftsup.dispatcher.control_client import Doorbell
from raftsup.ledger import Accepted, Ledger, LedgerError, LedgerUnavailable, open_ledger
from raftsup.log import say
from raftsup.paths import StateDir
from raftsup.proc import lockfile
from raftsup.proc.child import IdleShim
from raftsup.proc.env import clean_env
from raftsup.raft_errors import Who
from raftsup.wake import Wake
from raftsup.worker import heartbeat, http_server, probe_key
from raftsup.worker.activity.subscriber import Feed, Queue
from raftsup.worker.bridge import predecessor
from raftsup.worker.bridge.process import Bridge, argv_of
from raftsup.worker.bridge.state import Life, Timings
from raftsup.worker.endpoint import Endpoint, Hooks, Slot, app_for
from raftsup.worker.http_server import Finish, serve
from raftsup.worker.status_file import Report

LOG = logging.getLogger("raftsup.worker")
#: Whole seconds for requests under way once the bridge is gone.
_GRACE_S = 2
#: The longest that a worker takes to stop by itself, in seconds.
STOP_BUDGET = round(Timings().term_grace * 2 + _GRACE_S)
#: Seconds that a predecessor may take to let go of the lock.
_PREDECESSOR_S = 5.0


@dataclass(frozen=True)
class Settings:
    """What a worker must know. A change of any of it restarts the worker, and only it."""

    account: str
    profile: str
    agent_id: str | None
    command: tuple[str, ...]
    dedupe: Dedupe
    coalesce: bool
    activity: Literal["off", "turns"]
    map_size: int
    #: Seconds without a proof of life after which the parent kills it.
    watchdog: float
    #: Seconds without a word after which its bridge counts as deaf, and is restarted.
    bridge_silence: float
    bridge_restart: float
    state: StateDir


def settings_of(config: Config, account: Account, state: StateDir) -> Settings:
    """The worker's part of a config, for an account that runs."""
    assert account.profile is not None
    return Settings(
        account=account.id,
        profile=account.profile,
        agent_id=account.agent_id,
        command=account.command,
        dedupe=config.dedupe,
        coalesce=config.turns.coalesce == "queued",
        activity=account.activity,
        map_size=config.ledger.map_size,
        watchdog=config.supervisor.watchdog,
        bridge_silence=config.supervisor.bridge_silence,
        bridge_restart=config.supervisor.bridge_restart,
        state=state,
    )


def heartbeat_name(account: str) -> str:
    return f"accounts-{account}"


def run(settings: Settings, environ: Mapping[str, str], *, creates: bool = True) -> int:
    """Serve one account until SIGTERM; an exit code. The caller ends with ``os._exit``.
    ``creates``: whether a ledger that is missing is made.
    """
    # Nothing of the operator's environment is needed from here on, and much of it is secret.
    env = clean_env(environ)
    os.environ.clear()
    os.environ.update(env)
    # Before anything else is in memory and while there is one thread.
    idle = IdleShim()
    idle.refill()
    try:
        lockfile.take(settings.state.reports / f"{settings.account}.lock", wait=_PREDECESSOR_S)
    except lockfile.Held as held:
        LOG.error(say("worker.refused", reason=f"another worker of this account runs: {held}"))
        return held.exit_code
    try:
        ledger = open_ledger(settings.state.ledger, settings.map_size, create=creates)
    except LedgerError as error:
        LOG.error(say("ledger.closed", reason=str(error)))
        return error.exit_code
    Worker(settings, env, ledger, idle).serve()
    return exit_codes.OK


class Worker:
    """One account's endpoint, bridge and activity, and their threads."""

    def __init__(
        self, settings: Settings, env: Mapping[str, str], ledger: Ledger, idle: IdleShim
    ) -> None:
        self._settings, self._ledger = settings, ledger
        self._session = f"raftsup-{settings.account}-{secrets.token_hex(4)}"
        self._token, self._hooks_key = secrets.token_hex(32), hook_token.new_key()
        self._stopping, self._finish = threading.Event(), Finish()
        self._doorbell = Doorbell(settings.state.dispatcher_socket)
        self._report = Report(
            settings.state.report(settings.account), settings.account, settings.profile
        )
        self._report.adopt()
        if shim := predecessor.end(settings.account, self._report.bridge_pid):
            LOG.warning(say("bridge.predecessor.killed", shim=shim, pid=self._report.bridge_pid))
        who = _who(settings, env)
        self._report.bridge_log = _log_of(who, env)
        self._bridge = Bridge(
            settings.account,
            who,
            _bridge_env(env, self._token, settings),
            self._report.bridge,
            idle,
            Life(
                failures=self._report.failures,
                listened_at=self._report.listened_at,
                restarts=self._report.restarts,
            ),
            Timings(silence=settings.bridge_silence, restart=settings.bridge_restart),
        )
        self._bridging: threading.Thread | None = None
        self._events = Queue()
        self._feed = self._make_feed()
        self._port = 0

    def serve(self) -> None:
        """Until SIGTERM, or until the parent is gone."""
        state, account = self._settings.state, self._settings.account
        app, slot = application()
        slot.contract = Endpoint(
            token=self._token,
            port=lambda: self._port,
            runtime_session=lambda: self._session,
            accept=self._accept,
            ledger=self._no_wake,
            state=self._state,
            stopping=self._stopping.is_set,
            count=self._report.count,
            ring=self._doorbell.ring,
            drain=self._events.drain,
            probe_key=probe_key.new_key(state.probe_key(account)),
            hooks=self._hooks(),
        )
        serve(app, ready=self._ready, on_term=self._on_term, finish=self._finish, grace=_GRACE_S)
        if not self._stopping.is_set():
            LOG.warning(say("worker.orphaned", reason="its parent is gone"))
        LOG.info(say("worker.stopped"))

    def _state(self) -> str:
        """``ready``, or what it lacks."""
        why = self._no_wake()
        return f"ledger_{why}" if why else self._report.state()

    def _no_wake(self) -> str:
        try:
            return "held" if self._ledger.held() else "full" if self._ledger.full() else ""
        except LedgerError:
            return "unreadable"

    def _accept(self, wake: Wake) -> Accepted:
        settings = self._settings
        try:
            accepted = self._ledger.accept(
                settings.account,
                wake,
                now=time.time(),
                limits=settings.dedupe,
                coalesce=settings.coalesce,
            )
        except LedgerUnavailable as error:
            if error.lasting:
                self._on_term()  # only a new process can open the ledger again
            raise
        action = "wake.duplicate" if accepted.duplicate else "wake.accepted"
        LOG.info(say(action, turn=accepted.turn or None))
        return accepted

    def _ready(self, port: int) -> None:
        settings, report = self._settings, self._report
        self._port = port
        report.url = f"http://127.0.0.1:{port}/wake"
        LOG.info(say("endpoint.listening", url=report.url, pid=os.getpid()))
        argv = argv_of(settings.command, settings.profile, report.url)
        self._bridging = _thread("bridge", lambda: self._bridge.run(argv))
        path = settings.state.heartbeat(heartbeat_name(settings.account))
        every = heartbeat.interval(settings.watchdog)
        _thread(
            "heartbeat",
            lambda: heartbeat.beat(port, path, every, self._stopping, self._beat),
        )
        self._follow_turns()

    def _beat(self) -> None:
        self._report.write()
        if not self._ledger.current and not self._stopping.is_set():
            LOG.critical(say("ledger.gone", path=self._settings.state.ledger, next="restart"))
            self._on_term()

    def _on_term(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            _thread("stop", self._end)

    def _end(self) -> None:
        LOG.info(say("worker.stopping"))
        self._bridge.stop()
        if self._bridging is not None:
            self._bridging.join()
        self._report.write()
        self._finish()

    # -- activity

    def _make_feed(self) -> Feed | None:
        settings = self._settings
        if settings.activity == "off":
            return None
        socket = settings.state.dispatcher_socket
        return Feed(socket, settings.account, self._session, self._events.put, self._stopping)

    def _hooks(self) -> Hooks | None:
        feed, key = self._feed, self._hooks_key
        if feed is None:
            return None
        return Hooks(
            run_of=lambda presented: hook_token.run_of(presented, key, feed.running()),
            take=feed.hook,
        )

    def _follow_turns(self) -> None:
        path = self._settings.state.hooks(self._settings.account)
        try:
            if self._feed is None:
                hook_token.withdraw(path)
            else:
                _thread("activity", self._feed.run)
                url = f"http://127.0.0.1:{self._port}/activity"
                hook_token.publish(path, url, self._hooks_key)
        except OSError as error:
            # Raft then sees the turns without their tools.
            LOG.warning(say("activity.no_hooks", path=path, reason=error.strerror))


def _who(settings: Settings, env: Mapping[str, str]) -> Who:
    found = raft_home.read(settings.profile, env)
    return Who(
        settings.profile,
        settings.command,
        settings.agent_id or (found.agent_id if found else None),
        found.server_url if found else None,
    )


def _log_of(who: Who, env: Mapping[str, str]) -> str:
    return str(raft_home.bridge_log(who.profile, who.agent_id, env)) if who.agent_id else ""


def _bridge_env(env: Mapping[str, str], token: str, settings: Settings) -> dict[str, str]:
    told = {**env, "RAFT_CHANNEL_TOKEN": token}
    if settings.agent_id is not None:
        # CLI 0.0.24 will not start without an agent id from elsewhere than the profile.
        told["RAFT_EXPECTED_AGENT_ID"] = settings.agent_id
    return told


def _thread(name: str, target: Callable[[], None]) -> threading.Thread:
    def guarded() -> None:
        try:
            target()
        except BaseException:
            # A worker without its bridge's or its pulse's thread would be deaf and look well.
            LOG.critical(say("worker.broke", thread=name), exc_info=True)
            os._exit(exit_codes.FAILED)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


# What every worker would build for itself is built once in the parent and shared by all: the
# application, gunicorn's settings, and what the first request loads and caches. Some milliseconds
# and megabytes for each account. Nothing of it opens a file, a socket or a thread.

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
def application() -> tuple[falcon.App[Any, Any], Slot]:
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
