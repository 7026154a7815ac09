"""The dispatcher's process: ledger, socket, signals, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from raftsup import exit_codes
from raftsup.config.errors import ConfigError
from raftsup.config.model import Config
from raftsup.dispatcher import raft_link
from raftsup.dispatcher.config_pipe import ConfigReceiver, DrainWithoutDeadline
from raftsup.dispatcher.control_socket import Server, verbs_of
from raftsup.dispatcher.dispatcher import Dispatcher
from raftsup.ledger import Ledger, LedgerError, open_ledger
from raftsup.log import say
from raftsup.paths import StateDir
from raftsup.proc import child, lockfile
from raftsup.runners.registry import RunnerRegistry

LOG = logging.getLogger("raftsup.dispatcher")
#: The heartbeat's name, and the program's in supervisorctl.
PROGRAM = "dispatcher"
#: Seconds between looks at the ledger without a doorbell; also the heartbeat.
_LOOK_EVERY_S = 1.0
_SWEEP_EVERY_S = 30.0
#: Seconds that a predecessor's lock may outlive it, while its last fork closes what it inherited.
_PREDECESSOR_S = 5.0


def run(
    config: Config,
    load: Callable[[], Config],
    state: StateDir,
    environ: Mapping[str, str],
    inbox: ConfigReceiver | None = None,
    creates: bool = True,
    predecessor_s: float = _PREDECESSOR_S,
) -> int:
    """Dispatch until SIGTERM; an exit code. ``load`` reads the config file again; ``inbox``: where
    a parent of ours sends what it has read. ``creates``: whether a ledger that is missing is made.
    """
    # Before the ledger is open and the heap has grown.
    idle = child.IdleShim()
    idle.refill()
    try:
        lock = lockfile.take(state.dispatcher_lock, wait=predecessor_s)
    except lockfile.Held as held:
        LOG.error(say("dispatcher.refused", reason=f"another dispatcher runs: {held}"))
        return exit_codes.ALREADY_RUNNING
    try:
        ledger = open_ledger(state.ledger, config.ledger.map_size, create=creates)
    except LedgerError as error:
        LOG.error(say("ledger.closed", reason=str(error)))
        os.close(lock)
        return exit_codes.FAILED
    try:
        asyncio.run(_serve(config, load, state, environ, ledger, idle, inbox))
    finally:
        ledger.close()
        os.close(lock)
    return exit_codes.OK


@dataclass
class _Parent:
    """What a parent of ours has said so far."""

    inbox: ConfigReceiver | None
    use: Callable[[Config], None]
    #: A drain has a budget.
    hurry: bool = True

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.inbox:
            loop.add_reader(self.inbox.descriptor, self.hear)

    def hear(self) -> None:
        if self.inbox is None:
            return
        for letter in self.inbox.letters():
            if isinstance(letter, DrainWithoutDeadline):
                self.hurry = False
            else:
                self.use(letter)
        if self.inbox.closed:
            asyncio.get_running_loop().remove_reader(self.inbox.descriptor)


async def _serve(
    config: Config,
    load: Callable[[], Config],
    state: StateDir,
    environ: Mapping[str, str],
    ledger: Ledger,
    idle: child.IdleShim,
    inbox: ConfigReceiver | None,
) -> None:
    loop = asyncio.get_running_loop()
    server = Server(lambda: _safely(dispatcher.pump))
    pool = RunnerRegistry(state, environ, lambda: _safely(dispatcher.pump), idle)
    dispatcher = Dispatcher(
        config,
        ledger,
        state,
        environ,
        pool=pool,
        publish=server.publish,
        cut_off=partial(raft_link.cut_off, state),
    )

    def use(wanted: Config) -> None:
        _safely(lambda: dispatcher.reconfigure(wanted))
        LOG.info(say("config.reloaded"))

    parent = _Parent(inbox, use)

    def reload() -> None:
        use(load())

    def reload_on_signal() -> None:
        try:
            reload()
        except ConfigError as error:
            LOG.error(say("config.refused", reason=str(error)))

    stop = asyncio.Event()

    def on_term() -> None:
        # The first one drains; the second one does not wait for running turns.
        if stop.is_set():
            dispatcher.interrupt()
        # What was sent before the signal counts, also where it is heard after it.
        parent.hear()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_term)
    loop.add_signal_handler(signal.SIGHUP, reload_on_signal)
    parent.listen(loop)

    server.verbs.update(verbs_of(dispatcher, reload))
    # Recover before anyone can ask: a status must not show a predecessor's turns as ours.
    dispatcher.begin()
    await server.listen(state.dispatcher_socket)
    LOG.info(say("dispatcher.ready", pid=os.getpid(), concurrency=config.turns.concurrency))
    look = asyncio.create_task(_look(dispatcher, ledger, state, server))
    sweep = asyncio.create_task(_sweep(dispatcher, ledger, state))
    await stop.wait()
    await dispatcher.drain(dispatcher.config.turns.drain if parent.hurry else None)
    await pool.close()
    for task in (look, sweep):
        task.cancel()
    server.close()
    state.dispatcher_socket.unlink(missing_ok=True)
    LOG.info(say("dispatcher.stopped"))


def _safely(pump: Callable[[], None]) -> None:
    try:
        pump()
    except LedgerError as error:
        LOG.error(say("ledger.unreadable", reason=str(error)))


async def _look(dispatcher: Dispatcher, ledger: Ledger, state: StateDir, server: Server) -> None:
    heartbeat = state.heartbeat(PROGRAM)
    while True:
        if not ledger.current:
            # Workers that are started from now on have another, or none.
            LOG.critical(say("ledger.gone", path=state.ledger, next="restart"))
            os._exit(exit_codes.FAILED)
        _safely(dispatcher.pump)
        try:
            await server.keep(state.dispatcher_socket)
        except OSError as error:
            LOG.error(say("socket.failed", reason=str(error)))
        try:
            heartbeat.touch(mode=0o600)
        except OSError as error:
            LOG.error(say("heartbeat.failed", reason=str(error)))
        await asyncio.sleep(_LOOK_EVERY_S)


async def _sweep(dispatcher: Dispatcher, ledger: Ledger, state: StateDir) -> None:
    due = 0.0
    while True:
        settings, now, swept = dispatcher.config.turns, time.time(), []
        try:
            if ledger.crowded():
                swept = ledger.relieve(now=now)
                LOG.warning(say("ledger.crowded", swept=len(swept)))
            elif time.monotonic() >= due:
                swept = ledger.sweep(now=now, keep=settings.keep, keep_for=settings.keep_for)
                due = time.monotonic() + _SWEEP_EVERY_S
        except LedgerError as error:
            LOG.error(say("ledger.unavailable", reason=str(error)))
        for turn in swept:
            for number in range(1, turn.attempt + 1):
                with contextlib.suppress(OSError):
                    state.transcript(turn.id, number).unlink()
        await asyncio.sleep(0 if swept else _LOOK_EVERY_S)
