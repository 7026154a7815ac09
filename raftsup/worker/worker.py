"""An account's process: endpoint, bridge, and the order in which they come and go.

Start: ledger, listening socket, bridge. Stop: the endpoint refuses, the bridge ends, the
endpoint closes. So a bridge never outlives its endpoint, and never meets one that is not there.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from raftsup import exit_codes, hook_token, raft_home
from raftsup.config.model import Account, Config, Dedupe
from raftsup.dispatcher.control_client import Doorbell
from raftsup.ledger import Accepted, LedgerError, LedgerUnavailable, open_ledger
from raftsup.log import say
from raftsup.paths import StateDir
from raftsup.proc import child, lockfile
from raftsup.proc.env import clean_env
from raftsup.raft_errors import Who
from raftsup.wake import Wake
from raftsup.worker import heartbeat as worker_heartbeat
from raftsup.worker import probe_key
from raftsup.worker.activity.subscriber import Feed, Queue
from raftsup.worker.bridge.process import Bridge, argv_of
from raftsup.worker.bridge.state import Life, Timings
from raftsup.worker.endpoint import Endpoint, Hooks
from raftsup.worker.http_server import Finish, serve
from raftsup.worker.preload import application
from raftsup.worker.status_file import Report

LOG = logging.getLogger("raftsup.worker")
#: Whole seconds for requests under way once the bridge is gone.
_GRACE = 2
#: The longest that a worker takes to stop by itself, in seconds.
STOP_BUDGET = round(Timings().term_grace * 2 + _GRACE)
_PREDECESSOR = 5.0


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


def run(settings: Settings, environ: Mapping[str, str]) -> int:
    """Serve one account until SIGTERM; an exit code. The caller ends with ``os._exit``."""
    # Nothing of the operator's environment is needed from here on, and much of it is secret.
    env = clean_env(environ)
    os.environ.clear()
    os.environ.update(env)
    state = settings.state
    # Before anything else is in memory and while there is one thread.
    idle = child.IdleShim()
    idle.refill()
    try:
        lockfile.take(state.reports / f"{settings.account}.lock", wait=_PREDECESSOR)
    except lockfile.Held as held:
        LOG.error(say("worker.refused", reason=f"another worker of this account runs: {held}"))
        return exit_codes.ALREADY_RUNNING
    try:
        ledger = open_ledger(state.ledger, settings.map_size)
    except LedgerError as error:
        LOG.error(say("ledger.closed", reason=str(error)))
        return exit_codes.FAILED

    token, session = secrets.token_hex(32), f"raftsup-{settings.account}-{secrets.token_hex(4)}"
    stopping, finish, doorbell = threading.Event(), Finish(), Doorbell(state.dispatcher_socket)
    report = Report(state.report(settings.account), settings.account, settings.profile)
    report.adopt()
    who = _who(settings, env)
    report.bridge_log = _log_of(who, env)
    bridge = Bridge(
        settings.account,
        who,
        _bridge_env(env, token, settings),
        report.bridge,
        idle,
        Life(failures=report.failures, listened_at=report.listened_at),
        Timings(silence=settings.bridge_silence, restart=settings.bridge_restart),
    )
    waiting = Queue()
    feed = _feed(settings, session, waiting, stopping)
    hooks_key = hook_token.new_key()
    port = 0

    def accept(wake: Wake) -> Accepted:
        try:
            accepted = ledger.accept(
                settings.account,
                wake,
                now=time.time(),
                limits=settings.dedupe,
                coalesce=settings.coalesce,
            )
        except LedgerUnavailable as error:
            if error.lasting:
                on_term()  # only a new process can open the ledger again
            raise
        action = "wake.duplicate" if accepted.duplicate else "wake.accepted"
        LOG.info(say(action, turn=accepted.turn or None))
        return accepted

    def ready(listening: int) -> None:
        nonlocal port
        port = listening
        report.url = f"http://127.0.0.1:{port}/wake"
        LOG.info(say("endpoint.listening", url=report.url, pid=os.getpid()))
        argv = argv_of(settings.command, settings.profile, report.url)
        threads.append(_thread("bridge", lambda: bridge.run(argv)))
        heartbeat = state.heartbeat(heartbeat_name(settings.account))
        every = worker_heartbeat.interval(settings.watchdog)
        _thread(
            "pulse", lambda: worker_heartbeat.beat(port, heartbeat, every, stopping, report.write)
        )
        _follow_turns(settings, feed, f"http://127.0.0.1:{port}/activity", hooks_key)

    def on_term() -> None:
        if not stopping.is_set():
            stopping.set()
            _thread("stop", end)

    def end() -> None:
        LOG.info(say("worker.stopping"))
        bridge.stop()
        for thread in threads:
            thread.join()
        report.write()
        finish()

    threads: list[threading.Thread] = []
    app, slot = application()
    slot.contract = Endpoint(
        token=token,
        port=lambda: port,
        runtime_session=lambda: session,
        accept=accept,
        state=report.state,
        stopping=stopping.is_set,
        count=report.count,
        ring=doorbell.ring,
        drain=waiting.drain,
        probe_key=probe_key.new_key(state.probe_key(settings.account)),
        hooks=_hooks(feed, hooks_key),
    )
    serve(app, ready=ready, on_term=on_term, finish=finish, grace=_GRACE)
    if not stopping.is_set():
        LOG.warning(say("worker.orphaned", reason="its parent is gone"))
    LOG.info(say("worker.stopped"))
    return exit_codes.OK


def _feed(
    settings: Settings, session: str, waiting: Queue, stopping: threading.Event
) -> Feed | None:
    if settings.activity == "off":
        return None
    socket = settings.state.dispatcher_socket
    return Feed(socket, settings.account, session, waiting.put, stopping)


def _hooks(feed: Feed | None, key: str) -> Hooks | None:
    if feed is None:
        return None
    return Hooks(
        run_of=lambda presented: hook_token.run_of(presented, key, feed.running()),
        take=feed.hook,
    )


def _follow_turns(settings: Settings, feed: Feed | None, url: str, key: str) -> None:
    path = settings.state.hooks(settings.account)
    try:
        if feed is None:
            hook_token.withdraw(path)
        else:
            _thread("activity", feed.run)
            hook_token.publish(path, url, key)
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
