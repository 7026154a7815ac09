"""The dispatcher's process: ledger, socket, signals, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping

from raftsup import exits, flock, kept
from raftsup.config.load import ConfigError
from raftsup.config.model import Config
from raftsup.dispatcher.dispatch import Dispatcher
from raftsup.dispatcher.server import Server
from raftsup.dispatcher.verbs import verbs_of
from raftsup.ledger import Ledger, LedgerError, LedgerUnavailable, open_ledger
from raftsup.log import say
from raftsup.paths import StateDir
from raftsup.runners.pool import Pool

LOG = logging.getLogger("raftsup.dispatcher")
#: The heartbeat's name, and the program's in supervisorctl.
PROGRAM = "dispatcher"
#: Seconds between looks at the ledger without a doorbell; also the heartbeat.
_LOOK_EVERY = 1.0
_SWEEP_EVERY = 30.0
#: Seconds that a predecessor's lock may outlive it, while its last fork closes what it inherited.
_PREDECESSOR = 5.0


def run(
    config: Config, load: Callable[[], Config], state: StateDir, environ: Mapping[str, str]
) -> int:
    """Dispatch until SIGTERM; an exit code. ``load`` reads the config file again."""
    # Before the ledger is open and the heap has grown.
    spare = kept.Spare()
    spare.refill()
    try:
        lock = flock.take(state.root / "dispatcher.lock", wait=_PREDECESSOR)
    except flock.Held as held:
        LOG.error(say("dispatcher.refused", reason=f"another dispatcher runs: {held}"))
        return exits.ALREADY_RUNNING
    try:
        ledger = open_ledger(state.ledger, config.ledger.map_size)
    except (LedgerError, LedgerUnavailable) as error:
        LOG.error(say("ledger.closed", reason=str(error)))
        os.close(lock)
        return exits.FAILED
    try:
        asyncio.run(_serve(config, load, state, environ, ledger, spare))
    finally:
        ledger.close()
        os.close(lock)
    return exits.OK


async def _serve(
    config: Config,
    load: Callable[[], Config],
    state: StateDir,
    environ: Mapping[str, str],
    ledger: Ledger,
    spare: kept.Spare,
) -> None:
    loop = asyncio.get_running_loop()
    server = Server(lambda: _safely(dispatcher.pump))
    pool = Pool(state, environ, lambda: _safely(dispatcher.pump), spare)
    dispatcher = Dispatcher(
        config,
        ledger,
        state,
        environ,
        pool=pool,
        publish=server.publish,
    )

    def reload() -> None:
        dispatcher.reconfigure(load())
        LOG.info(say("config.reloaded"))

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
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_term)
    loop.add_signal_handler(signal.SIGHUP, reload_on_signal)

    server.verbs.update(verbs_of(dispatcher, reload))
    # Recover before anyone can ask: a status must not show a predecessor's turns as ours.
    dispatcher.begin()
    listening = await server.listen(state.dispatcher_socket)
    LOG.info(say("dispatcher.ready", pid=os.getpid(), concurrency=config.turns.concurrency))
    look = asyncio.create_task(_look(dispatcher, state))
    sweep = asyncio.create_task(_sweep(dispatcher, ledger, state))
    await stop.wait()
    await dispatcher.drain(dispatcher.config.turns.drain)
    await pool.close()
    for task in (look, sweep):
        task.cancel()
    listening.close()
    state.dispatcher_socket.unlink(missing_ok=True)
    LOG.info(say("dispatcher.stopped"))


def _safely(pump: Callable[[], None]) -> None:
    try:
        pump()
    except (LedgerError, LedgerUnavailable) as error:
        LOG.error(say("ledger.unreadable", reason=str(error)))


async def _look(dispatcher: Dispatcher, state: StateDir) -> None:
    heartbeat = state.heartbeat(PROGRAM)
    while True:
        _safely(dispatcher.pump)
        try:
            heartbeat.touch(mode=0o600)
        except OSError as error:
            LOG.error(say("heartbeat.failed", reason=str(error)))
        await asyncio.sleep(_LOOK_EVERY)


async def _sweep(dispatcher: Dispatcher, ledger: Ledger, state: StateDir) -> None:
    while True:
        settings = dispatcher.config.turns
        try:
            swept = ledger.sweep(now=time.time(), keep=settings.keep, keep_for=settings.keep_for)
        except (LedgerError, LedgerUnavailable) as error:
            LOG.error(say("ledger.unavailable", reason=str(error)))
            swept = []
        for turn in swept:
            for number in range(1, turn.attempt + 1):
                with contextlib.suppress(OSError):
                    state.transcript(turn.id, number).unlink()
        await asyncio.sleep(0 if swept else _SWEEP_EVERY)
